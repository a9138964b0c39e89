package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes of the client commands. Scripts written for Vault's own client
// test these values, so their meaning does not change:
//
//	0    done
//	1    nothing was asked of the server, or its answer could not be used here:
//	     wrong usage, unreadable file, unknown field
//	2    the server refused, failed, or could not be reached; for `status`: the
//	     server is sealed (an unreachable server is 1 there)
//	130  interrupted by a signal, as shells report it
const (
	ExitOK          = 0
	ExitLocal       = 1
	ExitServer      = 2
	ExitInterrupted = 130
)

// failure is an error together with its exit code and, in the user's words,
// what to do about it.
type failure struct {
	err  error
	hint string
	code int
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// badInput reports a mistake in what the user typed or in what it names.
func badInput(hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: ExitLocal}
}

// ExitCode returns the exit code of a command that ended with err.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if errors.Is(err, context.Canceled) {
		return ExitInterrupted
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return ExitLocal
}

// report tells the user about err, if any, and returns its exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(stderr, "Error: %v\n", err)
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		fmt.Fprintf(stderr, "Hint: %s\n", f.hint)
	}
	return ExitCode(err)
}
