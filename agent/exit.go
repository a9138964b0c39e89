package agent

import (
	"errors"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
)

// Exit codes of `securevault agent`. They are part of its interface: an init
// container or a unit file may act on them. A run that is told to stop by
// SIGTERM or SIGINT ends with 0.
const (
	ExitOK       = 0 // done, or stopped as asked
	ExitInternal = 1 // anything that should not happen
	ExitConfig   = 2 // usage or configuration: nothing was started
	ExitAuth     = 3 // authentication was refused, or its credentials are missing
	ExitSecret   = 4 // the server refuses a secret
	ExitServer   = 5 // the server could not be reached in time
	ExitTemplate = 6 // a template cannot be parsed or evaluated
	ExitSink     = 7 // a destination cannot be written
	ExitNotify   = 8 // a command or signal failed until the time was up
	ExitLeftover = 9 // stopped, but a credential may be left until its TTL
)

// failure is an error with the exit code that stands for its class.
type failure struct {
	code int
	error
}

func (f failure) Unwrap() error { return f.error }

// ExitCode returns the exit code for an error of [Agent.Run] or of the steps
// before it; [ExitOK] for nil.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if f, ok := errors.AsType[failure](err); ok {
		return f.code
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return ExitConfig
	}
	return ExitInternal
}

// unreachable turns a failure of any stage into that of the server, if that
// was behind it.
func classed(code int, err error) error {
	if e, ok := errors.AsType[*vault.Error](err); ok && e.Kind == vault.Later {
		code = ExitServer
	}
	return failure{code, err}
}
