package agent

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/novatech/securevault/agent/admin"
	"github.com/novatech/securevault/agent/config"
)

// ExitNotReady is the exit code of `securevault agent status` for an agent
// that answers and is not ready.
const ExitNotReady = 3

// Status is `securevault agent status`: what a running agent does, in a
// terminal.
type Status struct {
	Ctx            context.Context
	Stdout, Stderr io.Writer
}

// Synopsis describes the command in one line.
func (Status) Synopsis() string {
	return "Show what a running agent holds and does next"
}

// Help describes the command, its flags and its exit codes.
func (Status) Help() string {
	return `Usage: securevault agent status [options]

  Asks a running agent through one of its listeners, and shows each credential
  with its time left, its next action and whatever is wrong with it. Without
  -address the first listener of the configuration is asked that is not for
  metrics only and wants no certificate of the caller.

Example:

  $ securevault agent status -config=/etc/securevault/agent.hcl

Options:
` + describe(new(statusFlags).set()) + `
Exit codes:

  0  the agent is ready         2  usage or configuration
  3  the agent is not ready     5  the agent does not answer`
}

// statusFlags are those of the command line.
type statusFlags struct {
	configs         paths
	address, caCert string
	showing         showing
}

func (f *statusFlags) set() *flag.FlagSet {
	set := f.configs.set("agent status")
	set.StringVar(&f.address, "address", "", "`address` of the listener: unix:///run/agent.sock, http://host:port or https://host:port")
	set.StringVar(&f.caCert, "ca-cert", "", "`path` of a PEM file with the certificate of the listener, or of who signed it")
	f.showing.set(set)
	return set
}

func (f *statusFlags) parse(args []string) error {
	set := f.set()
	err := set.Parse(args)
	switch {
	case err != nil:
		return fmt.Errorf("%w; see securevault agent status -help", err)
	case set.NArg() > 0:
		return fmt.Errorf("argument %q is not expected; name the agent by -address or -config", set.Arg(0))
	case f.address == "" && len(f.configs) == 0:
		return errors.New("no agent is named; give -address or -config")
	default:
		return nil
	}
}

// Run shows the status and returns the exit code.
func (c Status) Run(args []string) int {
	status, err := c.run(args)
	switch {
	case err != nil:
		return complain(c.Stderr, nil, err)
	case !status.Ready:
		return ExitNotReady
	default:
		return ExitOK
	}
}

func (c Status) run(args []string) (admin.Status, error) {
	var f statusFlags
	if err := f.parse(args); err != nil {
		return admin.Status{}, failure{ExitConfig, err}
	}
	if err := f.fromConfig(); err != nil {
		return admin.Status{}, err
	}
	client, err := admin.NewClient(f.address, f.caCert)
	if err != nil {
		return admin.Status{}, failure{ExitConfig, err}
	}
	status, err := client.Status(c.Ctx)
	if err != nil {
		return admin.Status{}, failure{ExitServer, err}
	}
	return status, f.showing.show(c.Stdout, status, func() string { return table(status) })
}

// fromConfig finds the address in the configuration, unless it was given.
func (f *statusFlags) fromConfig() error {
	if f.address != "" {
		return nil
	}
	file, err := config.Load(f.configs...)
	if err != nil {
		return err
	}
	for _, l := range file.Listeners {
		plain := l.TLSDisable || l.Type == "unix" && l.TLSCertFile == ""
		switch {
		case l.Role == "metrics_only", l.TLSRequireClientCert:
			continue
		case l.Type == "unix" && plain:
			f.address = "unix://" + l.Address
		case plain:
			f.address = "http://" + l.Address
		case l.Type == "tcp":
			f.address, f.caCert = "https://"+l.Address, cmp.Or(f.caCert, l.TLSCertFile)
		default:
			continue
		}
		return nil
	}
	return failure{ExitConfig, errors.New("the configuration has no listener that tells the status; add one, or give -address")}
}

// Columns of the table, which fits a terminal of 80.
const (
	nameWidth = 32
	barWidth  = 10
	leftWidth = 9
	lineWidth = 80
)

// table draws a status for a terminal.
func table(s admin.Status) string {
	var out strings.Builder
	state := "ready"
	if !s.Ready {
		state = "NOT READY"
	}
	fmt.Fprintf(&out, "%s, generation %d, %d leases; %d renewed, %d rotated, %d revoked\n",
		state, s.Generation, s.Counters.Leases, s.Counters.Renewed, s.Counters.Rotated, s.Counters.Revoked)
	for _, what := range s.Missing {
		out.WriteString(detail("!", what))
	}
	fmt.Fprintf(&out, "\n%-*s  %-*s  %-*s  %s\n", nameWidth, "SECRET", barWidth+2, "TIME LEFT", leftWidth, "", "NEXT")
	out.WriteString(row("(the agent's token)", s.Token.Grant, s.Token.Epoch > 0, s))
	for _, c := range s.Credentials {
		out.WriteString(row(c.Path, c.Grant, c.Held, s))
		for _, user := range c.Dependents {
			out.WriteString(detail("→", user))
		}
	}
	for _, o := range s.Outputs {
		if o.State == admin.Failed {
			out.WriteString(detail("!", o.Destination+": "+o.Error))
		}
	}
	if s.Hooks.Error != "" {
		out.WriteString(detail("!", "the app was not told: "+s.Hooks.Error))
	}
	return out.String()
}

// row draws a grant: its name, a bar with its time left, and what comes next.
func row(name string, g admin.Grant, held bool, s admin.Status) string {
	bar, left := strings.Repeat(" ", barWidth+2), "no end"
	switch {
	case !held:
		left = "none yet"
	case !g.Ends.IsZero():
		full := (g.Left(s.Now)*barWidth + 50) / 100
		bar = "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
		left = admin.Until(g.Ends, s.Now)
	}
	line := fmt.Sprintf("%s  %s  %-*s  %s", fit(name, nameWidth), bar, leftWidth, left, g.Next.Text(s.Now))
	text := strings.TrimRight(line, " ") + "\n"
	if g.Error != "" {
		text += detail("!", g.Error)
	}
	return text
}

// detail is a line below a row, broken where the terminal ends.
func detail(mark, text string) string { return wrapped("  "+mark+" ", text) }

// wrapped is a text after a lead, broken where the terminal ends.
func wrapped(lead, text string) string {
	var out strings.Builder
	line, words := lead, 0
	for _, word := range strings.Fields(printable(text)) {
		if words > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > lineWidth {
			out.WriteString(line + "\n")
			line, words = strings.Repeat(" ", utf8.RuneCountInString(lead)), 0
		}
		if words > 0 {
			line += " "
		}
		line += word
		words++
	}
	return out.String() + strings.TrimRight(line, " ") + "\n"
}

// fit makes a name exactly as wide as its column. Of one that is too long the
// middle is left out: its start and its end tell it from others.
func fit(name string, width int) string {
	runes := []rune(printable(name))
	if len(runes) > width {
		half := (width - 1) / 2
		runes = append(append(append([]rune(nil), runes[:width-1-half]...), '…'), runes[len(runes)-half:]...)
	}
	return string(runes) + strings.Repeat(" ", width-len(runes))
}

// printable takes out what would let a server write to the terminal at will.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return '?'
		}
	}, text)
}
