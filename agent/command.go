package agent

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
)

// Command is `securevault agent`. Cancelling Ctx stops the agent as SIGTERM
// does.
type Command struct {
	Ctx    context.Context
	Stderr io.Writer
	Getenv func(name string) string
}

// flags are those of the command line.
type flags struct {
	configs                      []string
	server                       vault.Config
	logLevel, logFormat, logFile string
	rotation                     []func(*config.File) // what flags say of when a log file is full
	exitAfterAuth                bool
	timeout                      time.Duration
}

func (f *flags) set() *flag.FlagSet {
	set := flag.NewFlagSet("agent", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Func("config", "`path` of a configuration file, or of a folder of them; may be given several times", func(path string) error {
		f.configs = append(f.configs, path)
		return nil
	})
	set.BoolVar(&f.exitAfterAuth, "exit-after-auth", false, "render everything once, tell the app, and exit")
	set.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long a run with -exit-after-auth may take")
	f.setServer(set)
	set.StringVar(&f.logLevel, "log-level", "", "trace, debug, info, warn or error")
	set.StringVar(&f.logFormat, "log-format", "", "standard or json")
	set.StringVar(&f.logFile, "log-file", "", "`path` of a file to log to instead of standard error")
	f.setRotation(set)
	return set
}

// setServer adds the flags on how to reach the server.
func (f *flags) setServer(set *flag.FlagSet) {
	set.StringVar(&f.server.Address, "address", "", "`address` of the server, before VAULT_ADDR and the configuration")
	set.StringVar(&f.server.CACert, "ca-cert", "", "`path` of a PEM file with the CA of the server's certificate")
	set.StringVar(&f.server.CAPath, "ca-path", "", "`path` of a folder of such files")
	set.StringVar(&f.server.ClientCert, "client-cert", "", "`path` of a PEM file with the agent's certificate")
	set.StringVar(&f.server.ClientKey, "client-key", "", "`path` of a PEM file with its key")
	set.StringVar(&f.server.TLSServerName, "tls-server-name", "", "`name` that the server's certificate must have")
	set.BoolVar(&f.server.TLSSkipVerify, "tls-skip-verify", false, "take any certificate of the server")
	set.StringVar(&f.server.Namespace, "namespace", "", "`namespace` of the requests")
	set.StringVar(&f.server.Namespace, "ns", "", "short for -namespace, a `namespace`")
}

// setRotation adds the flags on when a log file is full.
func (f *flags) setRotation(set *flag.FlagSet) {
	number := func(name, usage string, key func(*config.File) *int) {
		set.Func(name, usage, func(text string) error {
			n, err := strconv.Atoi(text)
			f.rotation = append(f.rotation, func(file *config.File) { *key(file) = n })
			return err
		})
	}
	number("log-rotate-bytes", "size in `bytes` beyond which a new log file is begun", func(file *config.File) *int { return &file.LogRotateBytes })
	number("log-rotate-max-files", "how `many` old log files are kept; 0 for all, -1 for none", func(file *config.File) *int { return &file.LogRotateMaxFiles })
	set.Func("log-rotate-duration", "`age` at which a new log file is begun, such as 24h", func(text string) error {
		age, err := config.ParseDuration(text)
		f.rotation = append(f.rotation, func(file *config.File) { file.LogRotateDuration = age })
		return err
	})
}

// Synopsis describes the command in one line.
func (c Command) Synopsis() string {
	return "Keep an app's secrets fresh, in files rendered from templates"
}

// Help describes the command, its flags and its exit codes.
func (c Command) Help() string {
	var text strings.Builder
	text.WriteString(`Usage: securevault agent -config=FILE [options]

  Authenticates, requests the secrets that the templates of the configuration
  ask for, renders them to files, renews or replaces them over their lifetime,
  and tells the app when they have changed. Runs until SIGTERM or SIGINT, and
  then revokes what it holds. SIGHUP has it read its configuration anew.

Example:

  $ securevault agent -config=/etc/securevault/agent.hcl

Options:
`)
	text.WriteString(describe(new(flags).set()))
	text.WriteString(`
Exit codes:

  0  done, or stopped as asked          5  the server could not be reached in time
  1  internal error                     6  a template is wrong
  2  usage or configuration             7  a destination cannot be written
  3  authentication refused             8  a command or signal failed
  4  a secret refused                   9  a credential may be left until its TTL`)
	return text.String()
}

// Run runs the agent and returns the exit code.
func (c Command) Run(args []string) int {
	err := c.run(args)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(c.Stderr, "Error: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	return ExitCode(err)
}

func (c Command) run(args []string) error {
	var f flags
	set := f.set()
	if err := set.Parse(args); err != nil {
		return failure{ExitConfig, fmt.Errorf("%w; see securevault agent -help", err)}
	}
	switch {
	case set.NArg() > 0:
		return failure{ExitConfig, fmt.Errorf("argument %q is not expected; name files with -config=FILE", set.Arg(0))}
	case len(f.configs) == 0:
		return failure{ExitConfig, errors.New("no configuration is named; give -config=FILE")}
	}
	settled := start(c.Getenv)
	f.environment(c.Getenv)
	file, err := f.load()
	if err != nil {
		return err
	}
	log, destination, err := newLog(file, c.Stderr)
	if err != nil {
		return failure{ExitConfig, err}
	}
	defer func() { _ = destination.file.Close() }()
	for _, warning := range file.Warnings {
		log.Warn("configuration", zap.Stringer("warning", warning))
	}
	opts := Options{
		Log: log, Getenv: c.Getenv, Once: f.exitAfterAuth, Deadline: f.timeout, Server: f.server,
		Settled: settled, Reloaded: destination.follow,
	}
	if opts.State, err = openState(file, clientConfig(file, opts), c.Getenv, log); err != nil {
		return err
	}
	a, err := New(file, opts)
	if err != nil {
		if opts.State != nil {
			_ = opts.State.Close()
		}
		return err
	}
	defer a.Close()
	ctx, stop := context.WithCancel(c.Ctx)
	defer stop()
	go a.reloadOnChange(ctx, f.load, func() {
		if err := destination.file.Reopen(); err != nil {
			log.Error("the log file could not be opened anew; the one before stays in use", zap.Error(err))
		}
	})
	return a.Run(ctx)
}

// environment takes what flags leave open from the environment.
func (f *flags) environment(getenv func(string) string) {
	f.logLevel = cmp.Or(f.logLevel, getenv("SECUREVAULT_LOG_LEVEL"), getenv("VAULT_LOG_LEVEL"))
	f.logFormat = cmp.Or(f.logFormat, getenv("SECUREVAULT_LOG_FORMAT"), getenv("VAULT_LOG_FORMAT"))
}

// load reads the configuration. Flags that were given come before what it says.
func (f *flags) load() (*config.File, error) {
	file, err := config.Load(f.configs...)
	if err != nil {
		return nil, err
	}
	file.LogLevel = cmp.Or(f.logLevel, file.LogLevel)
	file.LogFormat = cmp.Or(f.logFormat, file.LogFormat)
	file.LogFile = cmp.Or(f.logFile, file.LogFile)
	for _, set := range f.rotation {
		set(file)
	}
	return file, nil
}
