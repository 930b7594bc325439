source("functions.R")
