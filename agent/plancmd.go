package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/internal/vault"
)

// Plan is `securevault agent plan`: what an agent would do with a
// configuration, found out without issuing anything.
type Plan struct {
	Ctx            context.Context
	Stdout, Stderr io.Writer
	Getenv         func(name string) string
	// Transport carries the requests; nil for the network.
	Transport http.RoundTripper
}

// Synopsis describes the command in one line.
func (Plan) Synopsis() string {
	return "Show what the agent would request, write and tell; issues nothing"
}

// Help describes the command, its flags and its exit codes.
func (Plan) Help() string {
	return `Usage: securevault agent plan -config=FILE [-config=FILE ...] [options]

  Shows each secret that the templates ask for, whether the token may have it,
  how long it would live and when it would be renewed and replaced; then each
  file, who may veto it and who is told.

  No credential is issued and no file is written. The token of the state is
  used if there is one. Otherwise the agent's login is made: that counts as a
  use of a secret id, its file is kept, and the token is revoked at the end. Of
  secrets only those of key-value engines are read, where a template chooses by
  them what else it asks for.

Example:

  $ securevault agent plan -config=/etc/securevault/agent.hcl

Options:
` + describe(new(planFlags).set()) + `
Exit codes:

  0  the agent would do all of this     5  the server does not answer
  2  usage or configuration             6  a template is wrong
  3  authentication refused             7  a destination cannot be written
  4  the token may not have a secret    9  the login's token is left to its TTL`
}

// planFlags are those of the command line.
type planFlags struct {
	configs paths
	address string
	showing showing
	offline bool
}

func (f *planFlags) set() *flag.FlagSet {
	set := f.configs.set("agent plan")
	set.StringVar(&f.address, "address", "", "`address` of the server, before VAULT_ADDR and the configuration")
	f.showing.set(set)
	set.BoolVar(&f.offline, "offline", false, "ask the server nothing: tell what the configuration alone says")
	return set
}

func (f *planFlags) parse(args []string) error {
	set := f.set()
	err := set.Parse(args)
	switch {
	case err != nil:
		return fmt.Errorf("%w; see securevault agent plan -help", err)
	case set.NArg() > 0:
		return fmt.Errorf("argument %q is not expected; name files with -config=FILE", set.Arg(0))
	case len(f.configs) == 0:
		return errors.New("no configuration is named; give -config=FILE")
	default:
		return nil
	}
}

// Run shows the plan and returns the exit code.
func (c Plan) Run(args []string) int {
	return complain(c.Stderr, nil, c.run(args))
}

func (c Plan) run(args []string) error {
	var f planFlags
	if err := f.parse(args); err != nil {
		return failure{ExitConfig, err}
	}
	file, err := config.Load(f.configs...)
	complain(c.Stderr, warningsOf(file, err), nil)
	if err != nil {
		return err
	}
	plan, err := c.foresee(file, f)
	if err != nil {
		return err
	}
	return errors.Join(f.showing.show(c.Stdout, plan, plan.text), plan.verdict())
}

// foresee makes the plan, with a token of its own or that of the agent.
func (c Plan) foresee(file *config.File, f planFlags) (plan forecast, err error) {
	opts := Options{Log: zap.NewNop(), Getenv: c.Getenv, Server: vault.Config{Address: f.address}, Transport: c.Transport}
	outputs, err := newBuilder(file, opts).outputs()
	if err != nil {
		return forecast{}, err
	}
	p := newPlanner(outputs, time.Now())
	var s *session
	if !f.offline {
		if s, err = openSession(c.Ctx, file, opts, p.now); err != nil {
			return forecast{}, err
		}
		defer func() { err = errors.Join(err, s.close(c.Ctx)) }()
		p.client, p.token, p.held = s.clients.templates, s.token, s.held
	}
	if plan, err = p.forecast(c.Ctx); err != nil {
		return forecast{}, err
	}
	if s != nil {
		plan.Server, plan.Token = s.clients.templates.Address(), &s.about
	}
	plan.Outputs = append(foreseeTokens(file.AutoAuth), plan.Outputs...)
	plan.Child = foreseeChild(file)
	return plan, nil
}
