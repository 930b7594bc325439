; Libraries that R code opens by name. `src/source/opens.rs` says what the captures mean.

; R reference, dyn.load
((call function: (identifier) @function arguments: (arguments) @names) @open
  (#eq? @function "dyn.load")
  (#set! names "file"))
((call function: (namespace_operator) @function arguments: (arguments) @names) @open
  (#match? @function "dyn[.]load$")
  (#set! names "file"))

(string content: (string_content) @content) @text
[(arguments) (parenthesized_expression)] @clear
(argument !name) @clear
(argument name: (_)) @aside

(identifier) @name
(binary_operator lhs: (identifier) @variable operator: ["<-" "="] rhs: (_) @value)
(for_statement variable: (identifier) @variable sequence: (_) @value)
(parameter name: (identifier) @variable)

(for_statement) @group
(if_statement alternative: (_)) @group

((call function: (identifier) @function) @guarded
  (#any-of? @function "try" "tryCatch" "withCallingHandlers"))

; Code for other systems.
((if_statement condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)windows|darwin|mac")
  (#not-match? @condition "!"))
((if_statement condition: (_) @condition alternative: (_) @skipped)
  (#match? @condition "(?i)windows|darwin|mac")
  (#match? @condition "!"))
