package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"

	"github.com/hashicorp/go-hclog"
)

// options are what the flags and the environment say.
type options struct {
	dev       bool
	address   string // host:port to listen on
	rootToken string // empty: made up
	logLevel  hclog.Level
	logJSON   bool
	version   bool
}

// parseOptions reads the flags; help goes to stdout. Flags win over the
// environment.
func parseOptions(args []string, getenv func(string) string, stdout io.Writer) (options, error) {
	o := options{address: "127.0.0.1:8200", rootToken: getenv("VAULT_DEV_ROOT_TOKEN_ID")}
	if address := getenv("VAULT_DEV_LISTEN_ADDRESS"); address != "" {
		o.address = address
	}
	var level, format string
	flags := flag.NewFlagSet("securevault-server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are reported once, by the caller
	flags.BoolVar(&o.dev, "dev", false, "keep everything in memory, unsealed: for trying things out")
	flags.StringVar(&o.address, "dev-listen-address", o.address, "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&o.rootToken, "dev-root-token-id", o.rootToken, "the root `token`; made up if empty")
	flags.StringVar(&level, "log-level", "info", "trace, debug, info, warn or error")
	flags.StringVar(&format, "log-format", "standard", "standard or json")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprintln(stdout, "Usage: securevault-server -dev [flags]")
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; see securevault-server -help", err)
	}
	return o, o.check(flags.Args(), level, format)
}

// check refuses what makes no sense and decodes what is left.
func (o *options) check(rest []string, level, format string) error {
	if o.version {
		return nil
	}
	o.logLevel, o.logJSON = hclog.LevelFromString(level), format == "json"
	_, _, err := net.SplitHostPort(o.address)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; see securevault-server -help", rest[0])
	case !o.dev:
		return errors.New("nothing to serve: start it with -dev, which keeps everything in memory")
	case o.logLevel == hclog.NoLevel:
		return fmt.Errorf("-log-level %q: use trace, debug, info, warn or error", level)
	case format != "standard" && format != "json":
		return fmt.Errorf("-log-format %q: use standard or json", format)
	case err != nil:
		return fmt.Errorf("-dev-listen-address %q: write it as host:port, like 127.0.0.1:8200", o.address)
	}
	return nil
}

func newLogger(o options, stderr io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "securevault", Level: o.logLevel, JSONFormat: o.logJSON, Output: stderr,
	})
}
