package templates

import (
	"bytes"
	"fmt"
	"os"

	"github.com/novatech/securevault/internal/vault"
)

const (
	// MaxOutput is the largest output in bytes.
	MaxOutput = 16 << 20
	// MaxFile is the largest file in bytes that is read, as a source or by
	// the function file.
	MaxFile = 16 << 20
)

// Config describes a template. Exactly one of Source and Contents is set.
type Config struct {
	Name            string   // for errors, when there is no Source; "template" when empty
	Source          string   // path of the text
	Contents        string   // the text itself
	LeftDelim       string   // "{{" when empty
	RightDelim      string   // "}}" when empty
	ErrOnMissingKey bool     // a missing key is an error instead of "<no value>"
	Denylist        []string // functions not to be used; * stands for any characters
	Sandbox         string   // folder that the functions file and writeToFile may not leave; "" for none
	// LookupEnv serves the env functions; os.LookupEnv when nil.
	LookupEnv func(name string) (value string, ok bool)
}

// Template is a parsed text, or a format without one. It is immutable, and
// safe for concurrent use.
type Template struct {
	cfg      Config
	body     body
	wants    []vault.Want // that an evaluation cannot do without
	wantsAll bool         // there are no others to discover
}

// body is what makes the output. An evaluate that fails says so with the
// positions of text/template, or with none.
type body interface {
	evaluate(e *evaluation) ([]byte, error)
}

// Lookup returns the secret for a want, false while there is none.
type Lookup func(vault.Want) (*vault.Secret, bool)

// Result is what an evaluation came to.
type Result struct {
	Output  []byte       // nil while anything is pending
	Wants   []vault.Want // that were used, each once, in the order of first use
	Pending []vault.Want // of these, the ones without a secret
	Effects []*Effect    // files to be written with the output, each path once; nil while anything is pending
}

// New reads and parses a template. The error names the line.
func New(cfg Config) (*Template, error) {
	if (cfg.Source == "") == (cfg.Contents == "") {
		return nil, fmt.Errorf("making the template %q: give either a source or contents", cfg.Name)
	}
	if cfg.Name == "" {
		cfg.Name = "template"
	}
	text := cfg.Contents
	if cfg.Source != "" {
		content, err := readFile(cfg.Source, "")
		if err != nil {
			return nil, fmt.Errorf("reading the template %q: %w", cfg.Source, err)
		}
		text, cfg.Name = content, cfg.Source
	}
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = os.LookupEnv
	}
	script, err := parseScript(text, cfg)
	if err != nil {
		return nil, err
	}
	return &Template{cfg: cfg, body: script, wants: script.wants, wantsAll: script.wantsAll}, nil
}

// Name returns the source, or the name of a template without one.
func (t *Template) Name() string { return t.cfg.Name }

// Foreseen reports whether the text alone tells everything that the template
// wants. If it does not, a secret may lead to the next.
func (t *Template) Foreseen() bool { return t.wantsAll }

// Render evaluates the template with the secrets there are. An error while
// something is pending would say nothing, and is left to the next pass.
func (t *Template) Render(lookup Lookup) (Result, error) {
	e := newEvaluation(t.cfg, lookup)
	for _, want := range t.wants {
		e.get(want)
	}
	// Without further wants to discover there is no use in evaluating yet.
	if len(e.pending) > 0 && t.wantsAll {
		return Result{Wants: e.wants, Pending: e.pending}, nil
	}
	output, err := t.evaluate(e)
	if len(e.pending) > 0 {
		return Result{Wants: e.wants, Pending: e.pending}, nil
	}
	if err != nil {
		return Result{Wants: e.wants}, positioned(t.cfg.Name, err, e.redact)
	}
	return Result{Output: output, Wants: e.wants, Effects: e.effects}, nil
}

func (t *Template) evaluate(e *evaluation) (output []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			output, err = nil, fmt.Errorf("evaluating the template panicked: %v", fault)
		}
	}()
	return t.body.evaluate(e)
}

// boundedBuffer refuses to grow beyond MaxOutput.
type boundedBuffer struct{ buffer bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > MaxOutput {
		return 0, errTooLarge
	}
	return b.buffer.Write(p)
}
