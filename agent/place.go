package agent

import (
	"bytes"
	"path/filepath"
	"time"

	"github.com/novatech/securevault/agent/check"
	"github.com/novatech/securevault/sink"
)

// place is where the content of an output goes.
type place interface {
	// Path names the place for people: that of the file or the folder.
	Path() string
	// Check returns what would keep the place from being written.
	Check() error
	// Stage writes new content beside what is in use; to a place that is no
	// file it only checks it. What is returned with an error was staged before.
	Stage(o *output) ([]*sink.Staged, error)
	// Lies tells where staged content is until it is published.
	Lies(s *sink.Staged) []check.Staged
}

// single is a file, and what its template writes on the side.
type single struct{ file sink.File }

// Path implements [place].
func (s single) Path() string { return s.file.Path }

// Check implements [place].
func (s single) Check() error { return s.file.Check() }

// Stage implements [place].
func (s single) Stage(o *output) ([]*sink.Staged, error) {
	files := append([]sink.File{s.file}, o.side()...)
	var all []*sink.Staged
	for i, content := range o.contents() {
		staged, err := files[i].Stage(content)
		if err != nil {
			return all, err
		}
		all = append(all, staged)
	}
	return all, nil
}

// Lies implements [place].
func (s single) Lies(staged *sink.Staged) []check.Staged {
	if staged.Path() == "" {
		return nil
	}
	return []check.Staged{{Destination: staged.Destination(), Path: staged.Path()}}
}

// switched is a folder whose files change all at once.
type switched struct{ *sink.Group }

// Path implements [place].
func (s switched) Path() string { return s.Directory }

// Stage implements [place].
func (s switched) Stage(o *output) ([]*sink.Staged, error) {
	contents := make(map[string][]byte, len(o.effects)) // name below the folder → content
	for i, member := range s.Files {
		contents[member.Name] = o.effects[i].Content
	}
	staged, err := s.Group.Stage(contents)
	if err != nil {
		return nil, err
	}
	return []*sink.Staged{staged}, nil
}

// Lies implements [place].
func (s switched) Lies(staged *sink.Staged) []check.Staged {
	var files []check.Staged
	for _, m := range s.Files {
		files = append(files, check.Staged{Destination: filepath.Join(s.Directory, m.Name), Path: filepath.Join(staged.Path(), m.Name)})
	}
	return files
}

// memory is no file: its content is handed over when the files that share a
// secret with it are switched.
type memory struct {
	name string
	fits func(content []byte) error // what would keep it from being used
	use  func(content []byte)
	to   any    // whom: a child or a socket
	held []byte // handed over last; nil for nothing yet
}

// Path implements [place].
func (m *memory) Path() string { return m.name }

// Check implements [place].
func (*memory) Check() error { return nil }

// Stage implements [place].
func (m *memory) Stage(o *output) ([]*sink.Staged, error) { return nil, m.fits(o.content) }

// Lies implements [place].
func (*memory) Lies(*sink.Staged) []check.Staged { return nil }

// handOver gives on the content of an output that goes to no file, and reports
// whether it is new.
func (o *output) handOver(now time.Time) (changed bool) {
	m, ok := o.place.(*memory)
	if !ok || m.held != nil && bytes.Equal(m.held, o.content) {
		return false
	}
	m.held, o.changed = o.content, now
	m.use(o.content)
	return true
}
