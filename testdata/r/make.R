# Made the lazy-load databases beside this file, with R 4.2.2: one set of objects, compressed by zlib and by LZMA2. What `true.rdx`
# differs in from `zlib.rdx` is that it says TRUE for 1.
e <- new.env()
e$f <- function(x, y = 2) { z <- x + y; lapply(seq_len(z), function(i) paste("layer", i, z)) }
e$numbers <- as.numeric((1:800) * 7919 %% 1009)
e$text <- c(paste("a word about layer", (1:300) * 7919 %% 1009, "of a runtime"), NA)
e$tiny <- 1L
e$inner <- local({ counter <- 0; function() counter <<- counter + 1 })
tools:::makeLazyLoadDB(e, "zlib", compress = 1L)
tools:::makeLazyLoadDB(e, "true", compress = TRUE)
tools:::makeLazyLoadDB(e, "lzma", compress = 3L)
