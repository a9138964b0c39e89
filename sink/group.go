package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Group is a folder whose files change all at once, such as a certificate and
// its key. Each generation of them is a folder of its own, ..data points to the
// current one, and each name that the app opens is a link through it:
//
//	tls.crt → ..data/tls.crt
//	tls.key → ..data/tls.key
//	..data  → ..2026_11_23_15_04_05.000000000
//
// One rename of ..data switches them. What else is done is in such an order
// that a run killed at any instant leaves all files old or all files new: names
// that are new lead nowhere until the switch, names that are no longer wanted
// lead nowhere from the switch on. It is how Kubernetes lays out a mounted
// Secret; like there, an app that opens several files while they switch may
// want to open ..data first, and the files in it.
//
// One agent writes to a Directory, stages one generation at a time, and nothing
// else may.
type Group struct {
	Directory string
	Files     []Member
	Keep      int         // generations kept beside the current one, for [Group.Rollback]
	Mode      fs.FileMode // of the folder; 0 keeps that of the folder there is, else 0755
	Owner     string      // of the folder: a user by name or id; empty keeps it
	Group     string      // of the folder: a group by name or id; likewise
}

// Member is a file of a [Group].
type Member struct {
	Name  string      // relative to the folder of the group
	Mode  fs.FileMode // 0 for DefaultMode
	Owner string      // a user by name or id; the agent's own when empty
	Group string      // a group by name or id; likewise
}

const (
	currentName = "..data" // the link to the generation in use
	hidden      = ".."     // what all names start with that are not the app's
)

// Check reports what would certainly keep the group from being written, as
// [File.Check] does.
func (g Group) Check() error {
	if err := g.check(); err != nil {
		return failed("checking", g.Directory, err)
	}
	return nil
}

func (g Group) check() error {
	if err := g.checkNames(); err != nil {
		return err
	}
	if _, err := g.account().ids(); err != nil {
		return err
	}
	for _, m := range g.Files {
		if _, err := m.account().ids(); err != nil {
			return fmt.Errorf("file %q: %w", m.Name, err)
		}
		info, err := os.Lstat(filepath.Join(g.Directory, top(m.Name)))
		if err == nil && info.IsDir() {
			return fmt.Errorf("file %q: %q is a folder; remove it, for a link to take its place", m.Name, top(m.Name))
		}
	}
	if err := checkWritable(g.Directory, true); err != nil {
		return err
	}
	_, err := g.current()
	return err
}

// checkNames refuses names that lead out of the folder, that are ours, or of
// which one is a folder to another.
func (g Group) checkNames() error {
	if g.Directory == "" {
		return errors.New("the path of the folder is empty; name one")
	}
	if len(g.Files) == 0 {
		return errors.New("the group has no files; add one")
	}
	names := make([]string, 0, len(g.Files))
	for _, m := range g.Files {
		if !filepath.IsLocal(m.Name) || m.Name != filepath.Clean(m.Name) || m.Name == "." {
			return fmt.Errorf("file %q: the name must be a plain path below the folder of the group", m.Name)
		}
		if strings.HasPrefix(m.Name, hidden) {
			return fmt.Errorf("file %q: names that start with %q are the agent's own; choose another", m.Name, hidden)
		}
		names = append(names, m.Name)
	}
	slices.Sort(names)
	for i, name := range names[1:] {
		if name == names[i] || strings.HasPrefix(name, names[i]+"/") {
			return fmt.Errorf("file %q: it is in the way of %q; rename one of them", names[i], name)
		}
	}
	return nil
}

// account stands for the folder of the group where owners are looked up.
func (g Group) account() File { return File{Owner: g.Owner, Group: g.Group} }

// account stands for the member where owners are looked up.
func (m Member) account() File { return File{Owner: m.Owner, Group: m.Group} }

func (m Member) mode() fs.FileMode {
	if m.Mode == 0 {
		return DefaultMode
	}
	return m.Mode
}

// top returns the first part of a name, the one that is a link.
func top(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// Stage writes a new generation, and to the disk: contents holds the content
// of each file by its name; one that is left out keeps what it has. The app
// sees none of it before [Staged.Commit] or [Publish]. If nothing is new, no
// generation is made, and committing at most puts links, modes and owners right.
func (g Group) Stage(contents map[string][]byte) (*Staged, error) {
	s, err := g.stage(contents)
	if err != nil {
		return nil, failed("staging", g.Directory, err)
	}
	return s, nil
}

func (g Group) stage(contents map[string][]byte) (*Staged, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if err := g.make(); err != nil {
		return nil, err
	}
	current, err := g.current()
	if err != nil {
		return nil, err
	}
	g.sweep(current) // what a killed run left is no generation
	s, full, err := g.compare(current, contents)
	if err != nil {
		return nil, err
	}
	s.settle = g.settle
	if !s.Changed() {
		return s, nil
	}
	if s.temp, err = g.prepare(current.next(time.Now()), full); err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// prepare writes a generation and all that its switch needs, and returns the
// link that is to replace ..data.
func (g Group) prepare(next generation, full map[string][]byte) (link string, err error) {
	if err := g.write(next, full); err != nil {
		return "", err
	}
	if err := g.link(next, false); err != nil {
		return "", err
	}
	if link, err = g.point(next); err != nil {
		return "", err
	}
	return link, syncFolder(g.Directory)
}

// make makes the folder of the group, and puts its mode and owner right.
func (g Group) make() error {
	wanted, err := g.account().ids()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(g.Directory, folderMode); err != nil {
		return fmt.Errorf("making the folder: %w", bare(err))
	}
	folder, err := os.Open(g.Directory)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	info, err := folder.Stat()
	if err != nil {
		return err
	}
	mode := g.Mode
	if mode == 0 {
		mode = modeOf(info)
	}
	if mode == modeOf(info) && wanted.or(owners(info)) == owners(info) {
		return nil
	}
	return give(folder, wanted, mode)
}

// compare finds what is new against the current generation, and returns the
// content of every file.
func (g Group) compare(current generation, contents map[string][]byte) (*Staged, map[string][]byte, error) {
	s := &Staged{path: g.Directory, target: filepath.Join(g.Directory, currentName)}
	full := make(map[string][]byte, len(g.Files))
	for _, m := range g.Files {
		same, repairs, err := g.compareMember(m, current, contents, full)
		if err != nil {
			return nil, nil, fmt.Errorf("file %q: %w", m.Name, err)
		}
		s.repairs = append(s.repairs, repairs...)
		if !same {
			s.changed = append(s.changed, filepath.Join(g.Directory, m.Name))
		}
	}
	for name := range contents {
		if _, known := full[name]; !known {
			return nil, nil, fmt.Errorf("file %q: it is none of the group; add it, or write it elsewhere", name)
		}
	}
	for _, name := range g.names(current) {
		if _, wanted := full[name]; !wanted {
			s.changed = append(s.changed, filepath.Join(g.Directory, name))
		}
	}
	return s, full, nil
}

// compareMember finds what is new about one file, and adds its content to full.
func (g Group) compareMember(m Member, current generation, contents, full map[string][]byte) (same bool, _ []repair, err error) {
	content, given := contents[m.Name]
	path := filepath.Join(g.path(current), m.Name)
	if !given {
		if current == none {
			return false, nil, errors.New("there is no content for it, neither new nor old; render it first")
		}
		if content, err = os.ReadFile(path); err != nil {
			return false, nil, fmt.Errorf("keeping what it has: %w; render it anew", bare(err))
		}
	}
	full[m.Name] = content
	if current == none {
		return false, nil, nil
	}
	wanted, err := m.account().ids()
	if err != nil {
		return false, nil, err
	}
	old, err := examine(path, content)
	if err != nil || !old.same {
		return false, nil, err
	}
	return true, old.repairs(path, m.mode(), wanted), nil
}
