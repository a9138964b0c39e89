package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"

	"github.com/hashicorp/go-hclog"

	"github.com/novatech/securevault/server/config"
)

// options are what the flags and the environment say.
type options struct {
	dev       bool
	configs   paths
	address   string // host:port that a dev server listens on
	rootToken string // empty: made up
	logLevel  string // empty: as the configuration says
	logFormat string // empty: as the configuration says
	version   bool
}

// parseOptions reads the flags; help goes to stdout. Flags win over the
// environment, and both over the configuration.
func parseOptions(args []string, getenv func(string) string, stdout io.Writer) (options, error) {
	o := options{address: "127.0.0.1:8200", rootToken: getenv("VAULT_DEV_ROOT_TOKEN_ID")}
	if address := getenv("VAULT_DEV_LISTEN_ADDRESS"); address != "" {
		o.address = address
	}
	flags := flag.NewFlagSet("securevault-server", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // errors are reported once, by the caller
	flags.Var(&o.configs, "config", configUsage)
	flags.BoolVar(&o.dev, "dev", false, "keep everything in memory, unsealed: for trying things out")
	flags.StringVar(&o.address, "dev-listen-address", o.address, "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&o.rootToken, "dev-root-token-id", o.rootToken, "the root `token`; made up if empty")
	flags.StringVar(&o.logLevel, "log-level", "", "trace, debug, info, warn or error (default info)")
	flags.StringVar(&o.logFormat, "log-format", "", "standard or json (default standard)")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		fmt.Fprintln(stdout, "Usage: securevault-server -config=FILE [flags]")
		fmt.Fprintln(stdout, "       securevault-server -dev [flags]")
		fmt.Fprintln(stdout, "       securevault-server validate -config=FILE")
		fmt.Fprintln(stdout, "       securevault-server migrate -config=FILE")
		fmt.Fprintln(stdout, "       securevault-server restore -config=FILE BACKUP")
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w; see securevault-server -help", err)
	}
	return o, o.check(flags.Args())
}

// check refuses what makes no sense.
func (o *options) check(rest []string) error {
	if o.version {
		return nil
	}
	_, _, err := net.SplitHostPort(o.address)
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; see securevault-server -help", rest[0])
	case !o.dev && len(o.configs) == 0:
		return errors.New("nothing to serve: name a configuration with -config, or start it with -dev, which keeps everything in memory")
	case o.logLevel != "" && hclog.LevelFromString(o.logLevel) == hclog.NoLevel:
		return fmt.Errorf("-log-level %q: use trace, debug, info, warn or error", o.logLevel)
	case o.logFormat != "" && o.logFormat != "standard" && o.logFormat != "json":
		return fmt.Errorf("-log-format %q: use standard or json", o.logFormat)
	case err != nil:
		return fmt.Errorf("-dev-listen-address %q: write it as host:port, like 127.0.0.1:8200", o.address)
	}
	return nil
}

// configuration is what the files say, with what the flags say over it.
func (o *options) configuration() (*config.File, error) {
	if len(o.configs) == 0 {
		return o.overlay(config.Default()), nil
	}
	f, err := config.Load(o.configs...)
	if err != nil {
		return nil, err
	}
	if !o.dev {
		return o.overlay(f), f.Unservable()
	}
	for _, stanza := range []string{"storage", "seal", "listener"} {
		if f.Has(stanza) {
			return nil, fmt.Errorf("%s: %s has no place in -dev, which keeps everything in memory; remove it, or -dev", f.Where(stanza), stanza)
		}
	}
	return o.overlay(f), nil
}

func (o *options) overlay(f *config.File) *config.File {
	if o.logLevel != "" {
		f.LogLevel = o.logLevel
	}
	if o.logFormat != "" {
		f.LogFormat = o.logFormat
	}
	if o.dev {
		f.Storage = &config.Storage{Type: "inmem"}
		f.Listeners = []config.Listener{config.DevListener(o.address)}
	}
	return f
}

func newLogger(f *config.File, out io.Writer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: "securevault", Level: hclog.LevelFromString(f.LogLevel), JSONFormat: f.LogFormat == "json", Output: out,
	})
}
