//! What a user asks of the publishing, and whether AWS can take it. Everything is looked at before the first call.

/// The names and fields as they stand on the command line.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// The layers without a name of their own are called this, with `-1`, `-2`, … behind it.
    pub name: Option<String>,
    /// The region, if it is not to be the aws tool's own choice.
    pub region: Option<String>,
    /// The aws tool's profile, likewise.
    pub profile: Option<String>,
    /// The bucket for zips that are too large for a request.
    pub bucket: Option<String>,
    /// What the keys in the bucket begin with.
    pub prefix: Option<String>,
    /// Whether the zips stay in the bucket and Lambda reads them there.
    pub by_reference: bool,
    /// The license: an SPDX identifier, a URL or a text.
    pub license: Option<String>,
}

/// A name or field that AWS would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {reason}")]
pub struct FieldError {
    /// The option it was given with.
    pub option: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// The longest name of a layer. AWS allows 140 characters for the whole ARN, of which its beginning takes up to about 60,
/// so that this is what fits in every region.
const NAME: usize = 64;
/// Lengths of a bucket's name and of a key (AWS Lambda API reference, LayerVersionContentInput).
const BUCKET: std::ops::RangeInclusive<usize> = 3..=63;
const KEY: usize = 1024;
/// The longest license (AWS Lambda API reference, PublishLayerVersion).
const LICENSE: usize = 512;
/// Longer than any region that there is; the longest label of a host name (RFC 1035, section 2.3.4).
const REGION: usize = 63;
/// A SHA-256 in hexadecimal digits.
const SHA256: usize = 64;

impl PublishOptions {
    /// Whether AWS can take these names and fields for so many layers without a name of their own.
    pub fn check(&self, layers: usize) -> Result<(), FieldError> {
        let error = |option, reason: Option<String>| match reason {
            Some(reason) => Err(FieldError { option, reason }),
            None => Ok(()),
        };
        let name_fault = match &self.name {
            Some(name) => name_fault(name, layers),
            None => (layers > 0).then(|| "give the layers a name, such as --name my-runtime".to_owned()),
        };
        error("--name", name_fault)?;
        error("--region", self.region.as_deref().and_then(region_fault))?;
        error("--profile", self.profile.as_deref().and_then(profile_fault))?;
        error("--bucket", self.bucket.as_deref().and_then(bucket_fault))?;
        error("--prefix", self.prefix.as_deref().and_then(prefix_fault))?;
        error("--license", self.license.as_deref().and_then(license_fault))
    }

    /// The name of the layer of this number, among those without a name of their own; numbers begin with 1.
    pub fn layer(&self, number: usize) -> String {
        format!("{}-{number}", self.name.as_deref().unwrap_or_default())
    }

    /// The key of a zip in the bucket. It names the content, so that the same zip is never sent twice.
    pub fn key(&self, sha256: &str) -> String {
        format!("{}{sha256}.zip", self.key_prefix())
    }

    /// What all keys begin with.
    pub fn key_prefix(&self) -> String {
        directory(self.prefix.as_deref().unwrap_or_default())
    }
}

/// A prefix with the slash that keeps it apart from the name behind it.
fn directory(prefix: &str) -> String {
    if prefix.is_empty() || prefix.ends_with('/') {
        prefix.to_owned()
    } else {
        format!("{prefix}/")
    }
}

fn name_fault(name: &str, layers: usize) -> Option<String> {
    if name.is_empty() {
        return Some("it is empty; give the layers a name".to_owned());
    }
    if let Some(wrong) = first_other(name, |c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
        return Some(format!("{wrong} cannot be in it; use letters, digits, - and _"));
    }
    if name.starts_with('-') {
        return Some("it begins with -, which the aws tool takes for an option".to_owned());
    }
    let suffix = format!("-{layers}").len();
    let length = name.len() + suffix;
    (length > NAME).then(|| {
        format!(
            "with the number of the layer it has {length} characters; use at most {}, so that each has {NAME}",
            NAME - suffix
        )
    })
}

fn region_fault(region: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > REGION || region.starts_with('-') || !region.chars().all(plain) {
        return Some("it is not a region; an example is eu-central-1".to_owned());
    }
    None
}

fn profile_fault(profile: &str) -> Option<String> {
    if profile.is_empty() || profile.starts_with('-') || profile.chars().any(char::is_control) {
        return Some("it is not a profile; `aws configure list-profiles` lists them".to_owned());
    }
    None
}

fn bucket_fault(bucket: &str) -> Option<String> {
    if !BUCKET.contains(&bucket.len()) {
        return Some(format!(
            "it has {} characters; a bucket's name has {} to {}",
            bucket.len(),
            BUCKET.start(),
            BUCKET.end()
        ));
    }
    if let Some(wrong) = first_other(bucket, |c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        let hint = if bucket.starts_with("s3:") {
            "; give the name alone, and the directory with --prefix"
        } else {
            ""
        };
        return Some(format!("{wrong} cannot be in the name of a bucket{hint}"));
    }
    if !bucket.starts_with(|c: char| c.is_ascii_alphanumeric()) || bucket.ends_with('.') {
        return Some("a bucket's name begins with a letter or digit, and does not end with a dot".to_owned());
    }
    None
}

fn prefix_fault(prefix: &str) -> Option<String> {
    if let Some(wrong) = first_other(prefix, |c| c.is_ascii_alphanumeric() || "/!-_.*()=+:@".contains(c)) {
        return Some(format!(
            "{wrong} cannot be in it; use letters, digits and / ! - _ . * ( ) = + : @"
        ));
    }
    let parts = prefix.strip_suffix('/').unwrap_or(prefix).split('/');
    if !prefix.is_empty() && parts.into_iter().any(|part| ["", ".", ".."].contains(&part)) {
        return Some("it has an empty part, or one of dots; write it as in team/layers".to_owned());
    }
    let length = directory(prefix).len() + SHA256 + ".zip".len();
    (length > KEY).then(|| format!("the key would have {length} characters; S3 takes {KEY}"))
}

fn license_fault(license: &str) -> Option<String> {
    let length = license.chars().count();
    if length == 0 {
        return Some("it is empty; give an SPDX identifier, such as MIT, or leave it out".to_owned());
    }
    if license.chars().any(char::is_control) {
        return Some("it has line breaks or other control characters; give an SPDX identifier or a URL".to_owned());
    }
    (length > LICENSE)
        .then(|| format!("it has {length} characters; AWS takes {LICENSE}: give an SPDX identifier or a URL"))
}

/// The first character that is not allowed, as it may be shown.
fn first_other(text: &str, allowed: impl Fn(char) -> bool) -> Option<String> {
    text.chars().find(|c| !allowed(*c)).map(|c| format!("{c:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_with_their_number() {
        let fits = "x".repeat(62);
        let hyphen = "-x";
        for (name, layers, fine) in [
            ("r", 5, true),
            ("My_runtime-2", 1, true),
            (fits.as_str(), 9, true),
            (fits.as_str(), 10, false),
            ("", 1, false),
            (hyphen, 1, false),
            ("a b", 1, false),
            ("a.b", 1, false),
            ("grün", 1, false),
            ("arn:aws:lambda:eu-west-1:123456789012:layer:r", 1, false),
            ("a\nb", 1, false),
        ] {
            assert_eq!(name_fault(name, layers).is_none(), fine, "{name:?} {layers}");
        }
        let reason = name_fault(&fits, 10).unwrap();
        assert!(reason.contains("65") && reason.contains("at most 61"), "{reason}");
        assert!(
            name_fault("a\u{1b}b", 1).unwrap().contains("\\u{1b}"),
            "shown without its effect"
        );
    }

    #[test]
    fn regions_and_profiles() {
        for (region, fine) in [
            ("eu-central-1", true),
            ("us-gov-west-1", true),
            ("", false),
            ("-x", false),
            ("EU-central-1", false),
            ("eu west", false),
            ("eu.west", false),
        ] {
            assert_eq!(region_fault(region).is_none(), fine, "{region}");
        }
        for (profile, fine) in [("work", true), ("my own", true), ("", false), ("--debug", false)] {
            assert_eq!(profile_fault(profile).is_none(), fine, "{profile}");
        }
    }

    #[test]
    fn buckets_keys_and_licenses_keep_to_the_limits() {
        let longest = "b".repeat(63);
        for (bucket, fine) in [
            ("abc", true),
            ("my.bucket-1", true),
            ("Old_Bucket", true),
            (longest.as_str(), true),
            ("ab", false),
            ("s3://bucket", false),
            ("bucket/x", false),
            ("-bucket", false),
            ("bucket.", false),
        ] {
            assert_eq!(bucket_fault(bucket).is_none(), fine, "{bucket}");
        }
        assert!(bucket_fault(&format!("{longest}b")).is_some());

        // 955 + "/" + 64 + ".zip" is 1024.
        let (fits, over) = ("p".repeat(955), "p".repeat(956));
        for (prefix, fine) in [
            ("", true),
            ("layers", true),
            ("team=r/layers/", true),
            (fits.as_str(), true),
            (over.as_str(), false),
            ("/layers", false),
            ("a//b", false),
            ("a/../b", false),
            ("a b", false),
            ("a,S3ObjectVersion", false),
        ] {
            assert_eq!(prefix_fault(prefix).is_none(), fine, "{prefix}");
        }

        assert!(license_fault("MIT").is_none());
        assert!(license_fault("https://opensource.org/license/mit").is_none());
        assert!(
            license_fault(&"ü".repeat(512)).is_none(),
            "characters are counted, not bytes"
        );
        assert!(license_fault(&"x".repeat(513)).is_some());
        assert!(license_fault("").is_some() && license_fault("a\nb").is_some());
    }

    #[test]
    fn the_option_at_fault_is_named() {
        let options = PublishOptions {
            name: Some("r".to_owned()),
            region: Some("nowhere at all".to_owned()),
            ..PublishOptions::default()
        };
        let error = options.check(2).unwrap_err().to_string();
        assert_eq!(error, "--region: it is not a region; an example is eu-central-1");
        assert_eq!(options.layer(2), "r-2");
    }

    #[test]
    fn keys_name_the_content() {
        let mut options = PublishOptions::default();
        assert_eq!(options.key("abc"), "abc.zip");
        for prefix in ["layers", "layers/"] {
            options.prefix = Some(prefix.to_owned());
            assert_eq!(options.key("abc"), "layers/abc.zip");
        }
    }
}
