# Draws with every kind of font and encoding through pdf() and postscript(), and prints what was written.
written <- function(draw, open, name) {
    path <- file.path(tempdir(), name)
    open(path)
    draw()
    invisible(dev.off())
    lines <- readLines(path, warn = FALSE, skipNul = TRUE)
    lines <- grep("CreationDate|ModDate|Producer|/Title|%%Title|^%%For", lines, value = TRUE, invert = TRUE, useBytes = TRUE)
    cat(name, length(lines), "lines", sum(nchar(lines, "bytes")), "bytes\n")
    print(unname(tools::md5sum({ writeLines(lines, path, useBytes = TRUE); path })))
}
base <- function() {
    par(mfrow = c(2, 2))
    plot(cars, main = "Größe é", col = rainbow(5), pch = 1:25)
    hist(faithful$eruptions); boxplot(count ~ spray, InsectSprays); persp(volcano, theta = 30)
    contour(volcano); image(volcano, col = hcl.colors(12)); pie(1:4); barplot(VADeaths, legend = TRUE)
    curve(sin, 0, 6); text(3, 0, expression(integral(alpha[i]^2 * dx, 0, infinity) == sqrt(frac(x, y))))
    legend("topright", c("a", "b"), lty = 1:2); plot(hclust(dist(USArrests[1:9, ]))); coplot(lat ~ long | depth, quakes)
}
trellis <- function() {
    print(lattice::xyplot(mpg ~ wt | factor(cyl), mtcars, type = c("p", "smooth")))
    grid::grid.newpage(); grid::grid.circle(gp = grid::gpar(fill = "grey"))
    grid::grid.text("grid", rot = 30)
}
written(base, function(path) pdf(path, compress = FALSE), "base.pdf")
written(base, function(path) postscript(path), "base.ps")
written(trellis, function(path) pdf(path, compress = FALSE), "trellis.pdf")
for (family in names(pdfFonts())[1:12])
    written(function() plot(1, main = "AV é"), function(path) pdf(path, family = family, compress = FALSE), paste0(family, ".pdf"))
for (encoding in c("ISOLatin1", "ISOLatin2", "CP1250", "KOI8-R", "Greek", "WinAnsi"))
    written(function() plot(1), function(path) postscript(path, encoding = encoding), paste0(encoding, ".ps"))
written(function() plot(1), function(path) xfig(path, onefile = TRUE), "plot.fig")
written(function() plot(1), function(path) pictex(path), "plot.tex")
print(head(colors())); print(col2rgb("tomato")); print(convertColor(cbind(1, 0, 0), "sRGB", "Lab")); print(names(postscriptFonts())[1:8])
pdf(NULL); plot.new(); print(strwidth("Hello", "inches", family = "serif") > 0); print(grDevices::extendrange(1:10)); print(chull(cars)); print(nclass.FD(cars$dist))
