package templates

import (
	"bytes"
	"fmt"
	"os"
	"text/template"

	library "github.com/hashicorp/consul-template/template"

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
	Sandbox         string   // folder that the function file may not leave; "" for none
	// LookupEnv serves the env functions; os.LookupEnv when nil.
	LookupEnv func(name string) (value string, ok bool)
}

// Template is a parsed text. It is immutable, and safe for concurrent use.
type Template struct {
	cfg    Config
	script *script
}

// Lookup returns the secret for a want, false while there is none.
type Lookup func(vault.Want) (*vault.Secret, bool)

// Result is what an evaluation came to.
type Result struct {
	Output  []byte       // nil while anything is pending
	Wants   []vault.Want // that were used, each once, in the order of first use
	Pending []vault.Want // of these, the ones without a secret
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
	return &Template{cfg: cfg, script: script}, nil
}

// Name returns the source, or the name of a template without one.
func (t *Template) Name() string { return t.cfg.Name }

// Render evaluates the template with the secrets there are. An error while
// something is pending would say nothing, and is left to the next pass.
func (t *Template) Render(lookup Lookup) (Result, error) {
	e := newEvaluation(t.cfg, lookup)
	for _, want := range t.script.wants {
		e.get(want)
	}
	// Without further wants to discover there is no use in evaluating yet.
	if len(e.pending) > 0 && t.script.wantsAll {
		return Result{Wants: e.wants, Pending: e.pending}, nil
	}
	output, err := t.evaluate(e)
	if len(e.pending) > 0 {
		return Result{Wants: e.wants, Pending: e.pending}, nil
	}
	if err != nil {
		return Result{Wants: e.wants}, positioned(t.cfg.Name, err, e.redact)
	}
	return Result{Output: output, Wants: e.wants}, nil
}

func (t *Template) evaluate(e *evaluation) (output []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			output, err = nil, fmt.Errorf("evaluating the template panicked: %v", fault)
		}
	}()
	if t.script.needsLibrary {
		return t.evaluateWithLibrary(e)
	}
	missing := "missingkey=zero"
	if t.cfg.ErrOnMissingKey {
		missing = "missingkey=error"
	}
	root := template.New("").Option(missing).Funcs(e.functions())
	for name, tree := range t.script.trees {
		if _, err := root.AddParseTree(name, tree); err != nil {
			return nil, err
		}
	}
	out := &boundedBuffer{}
	if err := root.Execute(out, nil); err != nil {
		return nil, err
	}
	return out.buffer.Bytes(), nil
}

func (t *Template) evaluateWithLibrary(e *evaluation) ([]byte, error) {
	full, err := library.NewTemplate(&library.NewTemplateInput{
		Contents: t.script.text, LeftDelim: t.cfg.LeftDelim, RightDelim: t.cfg.RightDelim,
		ErrMissingKey: t.cfg.ErrOnMissingKey, ExtFuncMap: e.functions(),
	})
	if err != nil {
		return nil, err
	}
	result, err := full.Execute(&library.ExecuteInput{Brain: library.NewBrain()})
	if err != nil {
		return nil, err
	}
	if len(result.Output) > MaxOutput {
		return nil, errTooLarge
	}
	return result.Output, nil
}

var errTooLarge = fmt.Errorf("the output is larger than %d bytes; split the template", MaxOutput)

// boundedBuffer refuses to grow beyond MaxOutput.
type boundedBuffer struct{ buffer bytes.Buffer }

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > MaxOutput {
		return 0, errTooLarge
	}
	return b.buffer.Write(p)
}
