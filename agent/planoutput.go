package agent

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/novatech/securevault/agent/config"
	"github.com/novatech/securevault/agent/program"
	"github.com/novatech/securevault/sink"
)

// What would become of a file.
const (
	fileNew       = "new"       // there is none yet
	fileReplaced  = "replaced"  // there is one; what it will hold is not known without the secrets
	fileChanged   = "changed"   // likewise, and it will hold something else
	fileUnchanged = "unchanged" // likewise, and it holds that already
)

// foreseenOutput is something that the agent would render.
type foreseenOutput struct {
	Destination string         `json:"destination"`
	Kind        string         `json:"kind"`     // file, group, memory or token
	Template    string         `json:"template"` // where the configuration asks for it
	Files       []foreseenFile `json:"files"`
	Secrets     []string       `json:"secrets"`
	// Hidden is set if it may ask for more once it has the secrets above.
	Hidden     bool     `json:"hidden"`
	Checks     []string `json:"checks"` // that new content must pass
	Hooks      []string `json:"hooks"`  // who is told of it
	Error      string   `json:"error,omitempty"`
	Unwritable string   `json:"unwritable,omitempty"` // what keeps it from its place
}

// foreseenFile is one file of an output.
type foreseenFile struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	Mode   string `json:"mode,omitempty"` // octal; "" keeps that of the file there is
	Owner  string `json:"owner,omitempty"`
	Group  string `json:"group,omitempty"`
}

// foreseenChild is the program that the agent would start.
type foreseenChild struct {
	Command    string   `json:"command"`
	Variables  []string `json:"variables"` // that are rendered for it
	Restart    string   `json:"restart_on_secret_changes"`
	StopSignal string   `json:"restart_stop_signal"`
}

// foresee tells what would become of an output.
func (d *draft) foresee() foreseenOutput {
	o := foreseenOutput{
		Destination: d.place.Path(), Template: d.template.Name(), Hidden: !d.whole && len(d.result.Pending) > 0,
		Files: []foreseenFile{}, Secrets: []string{}, Checks: []string{}, Hooks: []string{},
	}
	for _, w := range d.result.Wants {
		o.Secrets = append(o.Secrets, w.String())
	}
	for _, c := range d.checks {
		o.Checks = append(o.Checks, c.String())
	}
	for _, h := range d.hooks {
		o.Hooks = append(o.Hooks, h.String())
	}
	if d.err != nil {
		o.Error = d.err.Error()
	}
	if err := d.place.Check(); err != nil {
		o.Unwritable = err.Error()
	}
	o.Kind, o.Files = d.files()
	return o
}

// files tells what an output is, and what would become of its files.
func (d *draft) files() (kind string, files []foreseenFile) {
	known := d.err == nil && len(d.result.Pending) == 0
	switch place := d.place.(type) {
	case single:
		files = append(files, foreseeFile(place.file, d.result.Output, known))
		for _, e := range d.result.Effects {
			side := sink.File{Path: e.Path, Mode: e.Mode, Owner: e.Owner, Group: e.Group}
			files = append(files, foreseeFile(side, e.Content, known))
		}
		return "file", files
	case switched:
		for i, m := range place.Files {
			var content []byte
			if known {
				content = d.result.Effects[i].Content
			}
			member := sink.File{Path: filepath.Join(place.Directory, m.Name), Mode: m.Mode, Owner: m.Owner, Group: m.Group}
			files = append(files, foreseeFile(member, content, known))
		}
		return "group", files
	default:
		return "memory", []foreseenFile{}
	}
}

// foreseeFile compares a file with what is there. Its content is compared if
// it is known already.
func foreseeFile(f sink.File, content []byte, known bool) foreseenFile {
	out := foreseenFile{Path: f.Path, Change: fileReplaced, Mode: octal(f.Mode), Owner: f.Owner, Group: f.Group}
	info, err := os.Stat(f.Path)
	switch {
	case err != nil:
		out.Change = fileNew
		if f.Mode == 0 {
			out.Mode = octal(sink.DefaultMode)
		}
	case known && info.Size() != int64(len(content)):
		out.Change = fileChanged
	case known:
		out.Change = fileChanged
		if held, err := os.ReadFile(f.Path); err == nil && bytes.Equal(held, content) {
			out.Change = fileUnchanged
		}
	}
	return out
}

func octal(mode fs.FileMode) string {
	if mode == 0 {
		return ""
	}
	return config.Mode(mode.Perm()).String()
}

// foreseeTokens tells where the token of a login would go.
func foreseeTokens(a *config.AutoAuth) []foreseenOutput {
	if a == nil {
		return nil
	}
	var all []foreseenOutput
	for _, s := range a.Sinks {
		file := sink.File{Path: s.File.Path, Mode: s.File.Mode.FileMode(), Owner: string(s.File.Owner), Group: string(s.File.Group)}
		all = append(all, foreseenOutput{
			Destination: s.File.Path, Kind: "token", Template: s.At.String() + ": sink", Secrets: []string{}, Checks: []string{}, Hooks: []string{},
			Files: []foreseenFile{foreseeFile(file, nil, false)},
		})
	}
	return all
}

// foreseeChild tells of the program of an exec stanza, nil without one.
func foreseeChild(file *config.File) *foreseenChild {
	c := file.Child
	if c == nil {
		return nil
	}
	child := foreseenChild{
		Command: program.Program{Args: c.Command.Args, Line: c.Command.Line}.String(),
		Restart: c.Restart, StopSignal: unix.SignalName(syscall.Signal(c.StopSignal)), Variables: []string{},
	}
	for _, v := range file.EnvTemplates {
		child.Variables = append(child.Variables, v.Name)
	}
	return &child
}
