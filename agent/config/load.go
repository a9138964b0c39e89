package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// maxSize is the largest configuration file in bytes that is read: room for
// a hundred thousand templates.
const maxSize = 16 << 20

// Load reads configuration files and folders, and returns them as one. Of a
// folder it reads every file named *.hcl or *.json, in the order of their
// names, and not the folders in it. Stanzas that may be repeated, such as
// templates, add up; of every other stanza and key the last one counts. The
// error is an [*Error].
func Load(paths ...string) (*File, error) {
	file, err := assemble(newDecoder(&report{}), paths, func(string, []byte) {})
	if err != nil {
		return nil, err
	}
	file.Read = slices.Concat(paths, expand(paths, &report{}))
	return file, nil
}

// assemble loads the files, and shows each to a visitor.
func assemble(d *decoder, paths []string, visit func(name string, source []byte)) (*File, error) {
	if len(paths) == 0 {
		d.problem(Position{}, "name a file or a folder with -config", "there is no configuration")
	}
	whole := d.file("", nil)
	readable := true
	for _, path := range expand(paths, d.report) {
		source, ok := read(path, d.report)
		if ok {
			ok = d.add(whole, path, source)
			visit(path, source)
		}
		readable = readable && ok
	}
	return finish(whole, d.report, readable)
}

// finish checks how the stanzas fit together, unless some of them may be in a
// file that could not be read. A line that is known to be wrong is not also
// said to fit badly.
func finish(whole *File, r *report, readable bool) (*File, error) {
	whole.inherit()
	if readable && len(whole.keys) > 0 {
		checks := &report{}
		whole.validate(checks)
		r.warnings = append(r.warnings, checks.warnings...)
		r.problems = append(r.problems, slices.DeleteFunc(checks.problems, func(p Problem) bool {
			return slices.ContainsFunc(r.problems, func(known Problem) bool { return known.At == p.At })
		})...)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	whole.Warnings = r.warnings
	return whole, nil
}

// expand replaces each folder by the files in it that count.
func expand(paths []string, r *report) []string {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.IsDir() {
			files = append(files, path) // an error shows again, and is reported, when reading
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			r.failed(path, "reading the folder", err)
			continue
		}
		before := len(files)
		for _, entry := range entries {
			if extension := filepath.Ext(entry.Name()); !entry.IsDir() && (extension == ".hcl" || extension == ".json") {
				files = append(files, filepath.Join(path, entry.Name()))
			}
		}
		if len(files) == before {
			r.problem(Position{File: path}, "name the files *.hcl or *.json", "the folder holds no configuration file")
		}
	}
	return files
}

func read(path string, r *report) (source []byte, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		r.failed(path, "opening the configuration", err)
		return nil, false
	}
	defer func() { _ = file.Close() }()
	source, err = io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		r.failed(path, "reading the configuration", err)
		return nil, false
	}
	return source, true
}

// failed reports an error of the system, which need not repeat the path.
func (r *report) failed(path, doing string, err error) {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	r.problem(Position{File: path}, hint(err), "%s: %s", doing, err)
}

func hint(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "check the path"
	case errors.Is(err, fs.ErrPermission):
		return "let the user of the agent read it"
	default:
		return ""
	}
}

// add decodes one file and merges it into the whole. It reports false when
// the file has no usable syntax.
func (d *decoder) add(whole *File, name string, source []byte) bool {
	at := Position{File: name}
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(source, []byte("\ufeff")))
	switch {
	case len(source) > maxSize:
		d.problem(at, "split it into several files", "the file is larger than %d bytes", maxSize)
		return false
	case len(trimmed) == 0:
		d.problem(at, "it needs a template or an auto_auth stanza", "the file is empty")
		return false
	}
	tree, ok := parse(name, source, d.report)
	if !ok {
		return false
	}
	if len(tree) == 0 {
		d.problem(at, "it needs a template or an auto_auth stanza", "the file sets nothing")
		return false
	}
	d.merge(whole, d.file(name, tree))
	return true
}

// merge takes over what a later file sets.
func (d *decoder) merge(whole, later *File) {
	if whole.At.File == "" {
		whole.At = later.At
	}
	into, from := reflect.ValueOf(whole).Elem(), reflect.ValueOf(later).Elem()
	for _, f := range d.vocabulary(into.Type()).fields {
		at, written := later.keys[f.names[0]]
		target, source := into.FieldByIndex(f.index), from.FieldByIndex(f.index)
		switch {
		case !written:
			continue
		case f.repeatable:
			target.Set(reflect.AppendSlice(target, source))
		default:
			target.Set(source)
		}
		whole.keys[f.names[0]] = at
	}
}

// inherit fills in what a stanza takes from another, or from its own keys.
func (f *File) inherit() {
	for i := range f.Templates {
		f.Templates[i].inherit(f.Lease)
	}
	for _, g := range f.Groups {
		for i := range g.Templates {
			g.Templates[i].inherit(f.Lease)
		}
	}
	if f.Cache != nil && f.Cache.Persist != nil && !f.Has("state") {
		f.State = f.Cache.Persist.state()
	}
	if f.State != nil && !f.Has("revoke_on_exit") {
		f.RevokeOnExit = false
	}
	if f.AutoAuth == nil {
		return
	}
	m := &f.AutoAuth.Method
	if m.MountPath == "" {
		m.MountPath = fmt.Sprintf("auth/%s", m.Type)
	}
	if m.Type == "cert" && m.Cert == nil {
		m.Cert = &Cert{Origin: Origin{At: m.At}}
	}
}

func (t *Template) inherit(from Lease) {
	if !t.Has("renew_at") {
		t.RenewAt = from.RenewAt
	}
	if !t.Has("overlap") {
		t.Overlap = from.Overlap
	}
	if !t.Has("max_stale") {
		t.MaxStale = from.MaxStale
	}
	if !t.Has("rotation_window") {
		t.RotationWindow = from.RotationWindow
	}
	if t.Wait != nil && t.Wait.Max == 0 {
		t.Wait.Max = 4 * t.Wait.Min
	}
}
