package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// maxSize is the largest configuration file in bytes that is read.
const maxSize = 4 << 20

// extensions are those of the files in a folder that count.
var extensions = [...]string{".yaml", ".yml", ".hcl", ".json"}

// Load reads configuration files and folders, and returns them as one. Of a
// folder it reads every file named *.yaml, *.yml, *.hcl or *.json, in the order
// of their names, and not the folders in it. Stanzas that may be repeated, such
// as listeners, add up; of every other stanza and key the last one counts. The
// error is an [*Error].
func Load(paths ...string) (*File, error) {
	d := decoder{&report{}}
	if len(paths) == 0 {
		d.problem(Position{}, "name a file or a folder with -config", "there is no configuration")
	}
	whole := d.file("", nil)
	readable := true
	for _, path := range expand(paths, d.report) {
		source, ok := read(path, d.report)
		if ok {
			ok = d.add(whole, path, source)
		}
		readable = readable && ok
	}
	if readable && len(whole.keys) > 0 {
		d.check(whole)
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	whole.Warnings = d.warnings
	return whole, nil
}

// Default returns a configuration in which nothing is set.
func Default() *File { return decoder{&report{}}.file("", nil) }

// DevListener returns a listener on a TCP address, without TLS.
func DevListener(address string) Listener {
	l := Listener{}
	decoder{&report{}}.defaults(newVocabulary(reflect.TypeFor[Listener]()), reflect.ValueOf(&l).Elem())
	l.Type, l.Address, l.TLSDisable = "tcp", address, true
	return l
}

// check looks at how the stanzas fit together. A line that is known to be
// wrong is not also said to fit badly.
func (d decoder) check(whole *File) {
	checks := &report{}
	whole.check(checks)
	d.warnings = append(d.warnings, checks.warnings...)
	d.problems = append(d.problems, slices.DeleteFunc(checks.problems, func(p Problem) bool {
		return slices.ContainsFunc(d.problems, func(known Problem) bool { return known.At == p.At })
	})...)
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
			if !entry.IsDir() && slices.Contains(extensions[:], filepath.Ext(entry.Name())) {
				files = append(files, filepath.Join(path, entry.Name()))
			}
		}
		if len(files) == before {
			r.problem(Position{File: path}, "name the files "+strings.Join(extensions[:], ", "), "the folder holds no configuration file")
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
	hint := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "check the path"
	case errors.Is(err, fs.ErrPermission):
		hint = "let the user of the server read it"
	}
	r.problem(Position{File: path}, hint, "%s: %s", doing, err)
}

// add decodes one file and merges it into the whole. It reports false when
// the file has no usable syntax.
func (d decoder) add(whole *File, name string, source []byte) bool {
	source = bytes.TrimPrefix(source, []byte("\ufeff"))
	if len(source) > maxSize {
		d.problem(Position{File: name}, "split it into several files", "the file is larger than %d bytes", maxSize)
		return false
	}
	parse := parseYAML
	if isHCL(name, source) {
		parse = parseHCL
	}
	tree, ok := parse(name, source, d.report)
	if ok && len(tree) == 0 {
		d.problem(Position{File: name}, "it needs a storage and a listener stanza", "the file sets nothing")
		ok = false
	}
	if ok {
		d.merge(whole, d.file(name, tree))
	}
	return ok
}

// isHCL goes by the name; without a telling one JSON is told by its brace, and
// YAML by the colon after its first word.
func isHCL(name string, source []byte) bool {
	switch filepath.Ext(name) {
	case ".hcl":
		return !bytes.HasPrefix(bytes.TrimSpace(source), []byte("{"))
	case ".yaml", ".yml", ".json":
		return false
	}
	for line := range bytes.Lines(source) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		before, _, colon := bytes.Cut(line, []byte(":"))
		return line[0] != '{' && (!colon || bytes.ContainsAny(before, " ={\""))
	}
	return false
}

// file decodes the top level of one file.
func (d decoder) file(name string, tree body) *File {
	f := &File{}
	d.stanza(entry{value: value{kind: object, body: tree}, at: Position{File: name}}, reflect.ValueOf(f).Elem())
	return f
}

// merge takes over what a later file sets.
func (d decoder) merge(whole, later *File) {
	if whole.At.File == "" {
		whole.At = later.At
	}
	into, from := reflect.ValueOf(whole).Elem(), reflect.ValueOf(later).Elem()
	for _, f := range newVocabulary(into.Type()).fields {
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
