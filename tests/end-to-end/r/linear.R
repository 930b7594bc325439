# The modules lapack and internet, sparse matrices, compression of saved objects.
options(digits = 6)
m <- outer(1:5, 1:5, function(i, j) 1 / (i + j - 1))
print(solve(m) %*% rep(1, 5)); print(svd(m)$d); print(eigen(m)$values); print(qr(m, LAPACK = TRUE)$pivot); print(chol2inv(chol(m))[1, ])
print(det(m)); print(kappa(m, exact = TRUE)); print(eigen(matrix(c(0, 1, -1, 0), 2))$values); print(La_version())
print(basename(La_library())); print(capabilities()[c("libcurl", "fifo", "cledit", "iconv", "http/ftp", "sockets", "NLS", "Rprof", "profmem")])
suppressPackageStartupMessages(library(Matrix))
s <- sparseMatrix(i = c(1, 3, 4, 2), j = c(1, 2, 4, 3), x = c(2, 5, 7, 3))
print(s); print(solve(s, 1:4)); print(crossprod(s)); print(summary(s)); print(Cholesky(crossprod(s)))
print(lu(s)); print(t(s) %*% s); print(as(s, "TsparseMatrix")); print(bdiag(s, Diagonal(2))); print(nnzero(kronecker(s, s))); print(rcond(as(s, "denseMatrix")))
print(Hilbert(3)); print(nearPD(matrix(c(1, .9, .7, .9, 1, .4, .7, .4, 1), 3))$mat); print(expm(Matrix(c(0, 1, -1, 0), 2)))
source <- tempfile(); writeLines("some text", source); copy <- tempfile()
print(download.file(paste0("file://", source), copy, quiet = TRUE)); print(readLines(copy))
closed <- function(method) tryCatch({
    suppressWarnings(download.file("http://127.0.0.1:9/x", copy, method = method, quiet = TRUE)); "open"
}, error = function(e) sub("'.*", "", conditionMessage(e)))
print(closed("internal")); print(closed("libcurl")); print(curlGetHeaders(paste0("file://", source))[1:2])
print(nchar(libcurlVersion()) > 0); print(class(tryCatch(socketConnection(port = 9, timeout = 1), error = function(e) e, warning = function(w) w))[1])
for (how in c("gzip", "bzip2", "xz")) { saveRDS(mtcars, copy, compress = how); print(identical(readRDS(copy), mtcars)) }
print(convolve(1:3, c(0, 1, 0.5), type = "open")); print(Re(fft(1:8))); print(polyroot(c(6, -5, 1))); print(spline(1:4, c(1, 4, 9, 16), n = 5))
