; Libraries that Python code opens by name. `src/source/opens.rs` says what the captures mean.

; ctypes.CDLL and its kin (Python documentation, "ctypes", Loading shared libraries); a wrapper of the same name counts as well.
((call function: (_) @function arguments: (argument_list) @names) @open
  (#match? @function "(^|[._])(CDLL|PyDLL)$")
  (#set! names "file"))
((call function: (_) @function arguments: (argument_list) @names) @open
  (#match? @function "(^|[._])LoadLibrary$")
  (#not-match? @function "(win|ole)dll")
  (#set! names "file"))
((subscript value: (_) @function subscript: (_) @names) @open
  (#match? @function "(^|[.])(c|py)dll$")
  (#set! names "file"))

; numpy.ctypeslib.load_library (NumPy documentation), which is mostly imported as npct
((call function: (_) @function arguments: (argument_list) @names) @open
  (#match? @function "(ctypeslib|np_?ct)[.]load_library$")
  (#set! names "whole"))

; FFI.dlopen, which asks find_library where the name as it is leads nowhere (CFFI documentation, "ffi.dlopen()").
((call function: (_) @function arguments: (argument_list) @names) @open
  (#match? @function "(^|[._])dlopen$")
  (#set! names "either"))

; ctypes.util.find_library takes names as the linker does.
((call function: (_) @function arguments: (argument_list) @names) @open
  (#match? @function "(^|[._])find_library$")
  (#set! names "link"))

(string (string_content) @content) @text
(string (interpolation)) @computed
[(argument_list) (tuple) (list) (set) (expression_list) (parenthesized_expression) (conditional_expression) (boolean_operator)] @clear
(keyword_argument) @aside
(none) @aside
(conditional_expression (_) . (_) @aside . (_))

(identifier) @name
(assignment left: (identifier) @variable right: (_) @value)
(augmented_assignment left: (identifier) @variable)
(named_expression name: (identifier) @variable value: (_) @value)
(for_statement left: (identifier) @variable right: (_) @value)
(parameters (identifier) @variable)
(parameters [(default_parameter name: (identifier) @variable) (typed_parameter (identifier) @variable)])

[(try_statement) (for_statement) (boolean_operator)] @group
(if_statement alternative: (_)) @group

(try_statement body: (block) @guarded (except_clause))
((with_statement (with_clause (with_item value: (call function: (_) @function))) body: (block) @guarded)
  (#match? @function "(^|[.])suppress$"))
; A wrapper that is told not to fail.
((call arguments: (argument_list (keyword_argument name: (identifier) @keyword value: [(true) (false)]))) @guarded
  (#match? @keyword "fail|optional|required|raise|check"))

; A failure that is handed on is one.
(try_statement body: (block) @unguarded (except_clause (block (raise_statement))))
(for_statement body: (block (try_statement body: (block) @unguarded)) alternative: (else_clause body: (block (raise_statement))))
((for_statement body: (block (try_statement body: (block) @unguarded))) . (raise_statement))
((for_statement body: (block (try_statement body: (block) @unguarded))) . (if_statement consequence: (block (raise_statement))))

; Where nothing fails if find_library finds nothing.
(return_statement) @soft
(if_statement condition: (_) @soft)
(elif_clause condition: (_) @soft)
((boolean_operator left: (_) @soft operator: "or" right: [(identifier) (attribute) (subscript) (call function: (_) @function)])
  (#not-match? @function "find_library$"))
((boolean_operator left: [(identifier) (attribute) (subscript) (call function: (_) @function)] operator: "or" right: (_) @soft)
  (#not-match? @function "find_library$"))
(if_statement condition: (identifier) @checked)
(conditional_expression (_) . (identifier) @checked)
((if_statement condition: (comparison_operator (identifier) @checked (none)) @condition)
  (#match? @condition "is not|!="))

; Code for other systems.
((if_statement condition: (_) @condition consequence: (block) @skipped)
  (#match? @condition "(?i)win(32|dows)|[\"'](win|nt[\"']|mac|aix|sunos|cygwin|msys|[a-z]*bsd|ios|wasi|emscripten)|darwin|macos|osx")
  (#not-match? @condition "!=|\\bnot\\b"))
((elif_clause condition: (_) @condition consequence: (block) @skipped)
  (#match? @condition "(?i)win(32|dows)|[\"'](win|nt[\"']|mac|aix|sunos|cygwin|msys|[a-z]*bsd|ios|wasi|emscripten)|darwin|macos|osx")
  (#not-match? @condition "!=|\\bnot\\b"))
((if_statement condition: (_) @condition alternative: (else_clause) @skipped)
  (#match? @condition "(?i)win(32|dows)|[\"'](win|nt[\"']|mac|aix|sunos|cygwin|msys|[a-z]*bsd|ios|wasi|emscripten)|darwin|macos|osx")
  (#match? @condition "!=|\\bnot\\b"))
((if_statement condition: (_) @condition alternative: (_) @skipped)
  (#match? @condition "(?i)linux|posix")
  (#not-match? @condition "!=|\\bnot\\b"))
((if_statement condition: (_) @condition consequence: (block) @skipped)
  (#match? @condition "!= *[\"'](linux|Linux|posix)"))
((conditional_expression . (_) @skipped . (_) @condition)
  (#match? @condition "(?i)win(32|dows)|[\"'](win|nt[\"']|mac|aix|sunos|cygwin|msys)|darwin|macos|osx")
  (#not-match? @condition "!=|\\bnot\\b"))

; Code that is not run, or for tests alone.
((if_statement condition: (_) @condition consequence: (block) @skipped)
  (#match? @condition "__main__|TYPE_CHECKING"))
((function_definition name: (identifier) @function body: (block) @skipped)
  (#match? @function "^_*test"))
((class_definition name: (identifier) @class body: (block) @skipped)
  (#match? @class "^_*Test([A-Z_]|$)"))
