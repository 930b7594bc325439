; Libraries that Ruby code opens by name. `src/source/opens.rs` says what the captures mean.

; FFI::Library#ffi_lib; a name without an ending gets the system's (gem ffi, lib/ffi/library.rb, FFI.map_library_name).
((call method: (identifier) @method arguments: (argument_list) @names) @open
  (#eq? @method "ffi_lib")
  (#set! names "whole"))
; Fiddle.dlopen, Fiddle::Handle.new and Fiddle::Importer#dlload (Ruby documentation, "Fiddle"); FFI::DynamicLibrary.open
((call method: (identifier) @method arguments: (argument_list) @names) @open
  (#any-of? @method "dlopen" "dlload")
  (#set! names "file"))
((call receiver: (_) @receiver method: (identifier) @method arguments: (argument_list) @names) @open
  (#match? @receiver "(Fiddle::Handle|DynamicLibrary)$")
  (#any-of? @method "new" "open")
  (#set! names "file"))

(string (string_content) @content) @text
(bare_string (string_content) @content) @text
((simple_symbol) @text @content)
(string (interpolation)) @computed
[(argument_list) (array) (string_array) (parenthesized_statements) (conditional)] @clear
(binary operator: ["||" "or"]) @clear
[(pair) (nil) (integer)] @aside
(conditional condition: (_) @aside)

[(identifier) (constant)] @name
(assignment left: [(identifier) (constant)] @variable right: (_) @value)
(operator_assignment left: [(identifier) (constant)] @variable)
(method_parameters (identifier) @variable)
; names.each { |name| … }
(call receiver: (_) @value block: (block parameters: (block_parameters . (identifier) @variable .)))
(call receiver: (_) @value block: (do_block parameters: (block_parameters . (identifier) @variable .)))
(for pattern: (identifier) @variable value: (in (_) @value))

[(begin) (conditional) (case)] @group
(body_statement (rescue)) @group
(if alternative: (_)) @group
(call block: (_)) @group

(begin (_) @guarded (rescue))
(body_statement (_) @guarded (rescue))
(rescue_modifier body: (_) @guarded)
((begin (_) @unguarded (rescue body: (then (call method: (identifier) @method))))
  (#any-of? @method "raise" "abort"))
((body_statement (_) @unguarded (rescue body: (then (call method: (identifier) @method))))
  (#any-of? @method "raise" "abort"))

; Code for other systems.
((if condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)win(32|dows|_platform)|mswin|mingw|darwin|mac"))
((elsif condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)win(32|dows|_platform)|mswin|mingw|darwin|mac"))
((conditional condition: (_) @condition consequence: (_) @skipped)
  (#match? @condition "(?i)win(32|dows|_platform)|mswin|mingw|darwin|mac"))
((when pattern: (_) @condition) @skipped
  (#match? @condition "(?i)windows|mswin|mingw|cygwin|darwin|mac|bsd|solaris"))
