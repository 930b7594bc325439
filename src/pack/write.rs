//! Writes the zips and reads them back. One that comes out as an earlier run left it in the output directory is that file.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::leave::unless_stopped;
use super::prepare::Ready;
use super::previous::History;
use super::zip::{END_SIZE, EntryKind, ZipWriter};
use super::{Options, PackError};
use crate::check::{self, InZip, Layer};
use crate::finding::Finding;
use crate::languages::components::Components;
use crate::manifest::directory::numbered_file;
use crate::manifest::{LayerName, LayerSummary, PackedEntry};
use crate::open;
use crate::progress::{Interrupted, Progress, Stage};
use crate::runtime::Runtime;
use crate::size::Bytes;
use crate::timings::phase;
use crate::tree::{Entry, Tree};

/// What is read or written at once, in bytes.
const BUFFER: usize = 256 << 10;

/// The zips in the directory for unfinished work.
pub(super) struct Written<'a> {
    staging: &'a Path,
    layers: Vec<WrittenLayer<'a>>,
}

struct WrittenLayer<'a> {
    /// Its own name, if it has one.
    name: Option<LayerName>,
    /// The name of the zip.
    file: String,
    bytes: Bytes,
    sha256: [u8; 32],
    entries: Vec<&'a Ready>,
    /// Whether it is the file of an earlier run, which read it back whole before it wrote its manifest.
    is_earlier: bool,
}

/// What all layers are written by.
pub(super) struct Writer<'a> {
    pub(super) staging: &'a Path,
    pub(super) options: &'a Options,
    pub(super) history: &'a History,
    pub(super) progress: &'a dyn Progress,
}

impl Writer<'_> {
    /// Writes one zip for each list of entries: the first ones have names, the others numbers.
    pub(super) fn write<'r>(
        &'r self,
        names: &[LayerName],
        layers: Vec<Vec<&'r Ready>>,
    ) -> Result<Written<'r>, PackError> {
        let total = layers.iter().flatten().map(|ready| u64::from(ready.entry.compressed));
        let work = self.progress.start(Stage::Write, total.sum());
        let advance = |bytes| {
            work.advance(bytes);
            self.progress.check()
        };
        let layers = layers
            .into_par_iter()
            .enumerate()
            .map(|(number, entries)| {
                let name = names.get(number);
                let file = name.map_or_else(|| numbered_file(number + 1 - names.len()), LayerName::file);
                self.layer(name.cloned(), file, entries, &advance)
            })
            .collect::<Result<_, PackError>>()?;
        Ok(Written {
            staging: self.staging,
            layers,
        })
    }

    fn layer<'r>(
        &self,
        name: Option<LayerName>,
        file: String,
        entries: Vec<&'r Ready>,
        advance: &dyn Fn(u64) -> Result<(), Interrupted>,
    ) -> Result<WrittenLayer<'r>, PackError> {
        let at = self.staging.join(&file);
        let length = END_SIZE + entries.iter().map(|ready| ready.weight()).sum::<u64>();
        let earlier = self.earlier(&at, length, &entries);
        let is_earlier = earlier.is_some();
        let hash = match earlier {
            Some(hash) => {
                advance(entries.iter().map(|ready| u64::from(ready.entry.compressed)).sum())?;
                hash
            }
            None => self.anew(&at, &file, length, &entries, advance)?,
        };
        Ok(WrittenLayer {
            name,
            file,
            bytes: Bytes(length),
            sha256: hash,
            entries,
            is_earlier,
        })
    }

    /// Gives the file of an earlier run a second name where it is to the byte what would be written, and gives its SHA-256.
    /// What stands in the way, such as a file system without hard links, only means that it is written anew.
    fn earlier(&self, at: &Path, length: u64, entries: &[&Ready]) -> Option<[u8; 32]> {
        self.history.layers_of_length(length).find_map(|(name, sha256)| {
            let path = self.options.output.join(name);
            let metadata = fs_err::symlink_metadata(&path).ok()?;
            if !metadata.is_file() || metadata.len() != length {
                return None;
            }
            let file = open::regular(&path).ok()?;
            let comparing = Comparing(BufReader::with_capacity(BUFFER, file));
            let (_, hash) = self.stream(comparing, entries, &|_| self.progress.check()).ok()?;
            let is_it = base16ct::lower::encode_string(&hash) == *sha256;
            if !is_it {
                return None;
            }
            if fs_err::hard_link(&path, at).is_err() {
                // Over a network a link may be there although the error says otherwise.
                let _ = fs_err::remove_file(at);
                return None;
            }
            Some(hash)
        })
    }

    /// Writes a file and makes sure that it is as long as was reckoned.
    fn anew(
        &self,
        at: &Path,
        name: &str,
        length: u64,
        entries: &[&Ready],
        advance: &dyn Fn(u64) -> Result<(), Interrupted>,
    ) -> Result<[u8; 32], PackError> {
        let out = BufWriter::with_capacity(BUFFER, fs_err::File::create_new(at)?);
        let (out, hash) = self.stream(out, entries, advance)?;
        let written = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        written.sync_all()?;
        let there = written.metadata()?.len();
        if there != length || there > self.options.limits.max.0 {
            return Err(PackError::Verification {
                file: name.to_owned(),
                reason: format!("it has {there} bytes instead of {length}"),
            });
        }
        Ok(hash)
    }

    fn stream<W: Write>(
        &self,
        out: W,
        entries: &[&Ready],
        advance: &dyn Fn(u64) -> Result<(), Interrupted>,
    ) -> Result<(W, [u8; 32]), PackError> {
        let hash = Sha256::new();
        let mut writer = ZipWriter::new(Hashing { out, hash }, self.options.timestamp);
        for ready in entries {
            writer.add(&ready.name(), &ready.entry, &mut ready.range.clone())?;
            advance(u64::from(ready.entry.compressed))?;
        }
        let (Hashing { out, hash }, _) = writer.finish()?;
        Ok((out, hash.finalize().into()))
    }
}

/// Hashes what is written on its way.
struct Hashing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes only what its file has next.
struct Comparing(BufReader<fs_err::File>);

impl Write for Comparing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let there = self.0.fill_buf()?;
        let length = there.len().min(bytes.len());
        if there[..length] != bytes[..length] {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.consume(length);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written<'_> {
    /// Reads the zips back, compares what is in them with what was to be, and gives what check has to say. An earlier run's
    /// file was compared already, and read back by that run.
    pub(super) fn verify(
        &self,
        kept: &Tree,
        runtime: &Runtime,
        progress: &dyn Progress,
    ) -> Result<Vec<Finding>, PackError> {
        let new = || self.layers.iter().filter(|layer| !layer.is_earlier);
        let files: Vec<PathBuf> = new().map(|layer| self.staging.join(&layer.file)).collect();
        let read = check::read_zips(&files, check::MAX_UNZIPPED, progress)?;
        new()
            .zip(&read)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(layer, read)| layer.verify(read))
            .collect::<Result<(), PackError>>()?;
        let mut read = read.into_iter();
        let all = self.layers.iter().filter_map(|layer| {
            if layer.is_earlier {
                Some(layer.as_read(kept))
            } else {
                read.next()
            }
        });
        let (layers, runtime) = (all.collect(), runtime.clone());
        // Its own is one of the thread that it runs in, which counts as a part.
        let _phase = phase("judge");
        Ok(unless_stopped(progress, move |_| {
            check::judge(layers, &runtime, Bytes(0)).findings
        })?)
    }

    /// What the manifest says of them.
    pub(super) fn into_summaries(self, components: &Components) -> Vec<LayerSummary> {
        let layers = self.layers.into_iter();
        layers.map(|layer| layer.into_summary(components)).collect()
    }
}

impl WrittenLayer<'_> {
    /// Fails unless the zip was read as it was to be written.
    fn verify(&self, read: &Layer) -> Result<(), PackError> {
        let wrong = |reason: String| PackError::Verification {
            file: self.file.clone(),
            reason,
        };
        let broken = read.findings.iter().find(|finding| !finding.code.is_about_request());
        if let Some(finding) = broken {
            let place = finding.path.as_deref().unwrap_or("the zip");
            return Err(wrong(format!("{place}: {}", finding.message)));
        }
        for Ready { path, entry, .. } in &self.entries {
            let is_there = match (read.tree.get(path), entry.kind) {
                (Some(Entry::Directory(_)), EntryKind::Directory) | (Some(Entry::Symlink(_)), EntryKind::Symlink) => {
                    true
                }
                (Some(Entry::File(file)), EntryKind::File(mode)) => {
                    file.mode == mode
                        && file.bytes == Bytes(u64::from(entry.uncompressed))
                        && read.crc32(path) == Some(entry.crc32)
                }
                _ => false,
            };
            if !is_there {
                return Err(wrong(format!("{path} is missing or differs")));
            }
        }
        if read.entries != self.entries.len() {
            let (there, planned) = (read.entries, self.entries.len());
            return Err(wrong(format!("it has {there} entries instead of {planned}")));
        }
        Ok(())
    }

    /// What reading it back would give.
    fn as_read(&self, kept: &Tree) -> Layer {
        let lengths = self.entries.iter().map(|ready| u64::from(ready.entry.uncompressed));
        let mut layer = Layer {
            file: self.file.clone(),
            zip_bytes: Some(self.bytes),
            unzipped_bytes: Bytes(lengths.sum()),
            entries: self.entries.len(),
            ..Layer::default()
        };
        for Ready { path, entry, .. } in &self.entries {
            let Some(planned) = kept.get(path) else { continue };
            let mut packed = planned.clone();
            if let Entry::File(file) = &mut packed {
                // As it is in the layer: it may have been stripped.
                file.bytes = Bytes(entry.uncompressed.into());
                file.mode = file.mode.in_layer();
                let crc32 = Some(entry.crc32);
                layer.in_zip.insert(path.clone(), InZip { crc32, zipped: None });
            }
            layer.tree.insert(path.clone(), packed);
        }
        layer
    }

    fn into_summary(self, components: &Components) -> LayerSummary {
        let contents = self
            .entries
            .iter()
            .map(|ready @ Ready { path, entry, .. }| PackedEntry {
                path: ready.name().into_owned(),
                component: components.name(path).to_owned(),
                zipped_bytes: Bytes(ready.weight()),
                unzipped_bytes: Bytes(u64::from(entry.uncompressed)),
                crc32: format!("{:08x}", entry.crc32),
            });
        LayerSummary::new(self.name, self.file, self.bytes, &self.sha256, contents.collect())
    }
}
