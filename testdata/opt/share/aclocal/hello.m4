# AM_PATH_HELLO: looks for the program hello.
AC_DEFUN([AM_PATH_HELLO], [AC_PATH_PROG([HELLO], [hello], [no])])
