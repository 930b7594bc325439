cat("Hello from planet lambdar!")
