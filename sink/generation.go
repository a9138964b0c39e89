package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// generation is the name of a folder with one state of the files of a group.
// Names sort by age. Those older than the current one were current once, and
// are complete; those newer are what a killed run or a roll-back left, and are
// not to be trusted.
type generation string

// none is the generation before the first.
const none generation = ""

// generationLayout is the time at which a generation was made, in UTC. The
// fraction makes names sort within a second.
const generationLayout = "..2006_01_02_15_04_05.000000000"

func (n generation) made() (time.Time, error) { return time.Parse(generationLayout, string(n)) }

// next returns the name of a new generation, newer than n even if the clock
// was set back.
func (n generation) next(now time.Time) generation {
	if made, err := n.made(); err == nil && !now.After(made) {
		now = made.Add(time.Nanosecond)
	}
	return generation(now.UTC().Format(generationLayout))
}

// path returns the folder of a generation.
func (g Group) path(n generation) string { return filepath.Join(g.Directory, string(n)) }

// current returns the generation that ..data points to.
func (g Group) current() (generation, error) {
	target, err := os.Readlink(filepath.Join(g.Directory, currentName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case err != nil:
		return none, fmt.Errorf("reading the link %q: %w; remove it, or choose another folder", currentName, bare(err))
	}
	n := generation(target)
	if _, err := n.made(); err != nil {
		return none, fmt.Errorf("reading the link %q: it points to %q, which is not the agent's; choose another folder", currentName, target)
	}
	if missing(g.path(n)) {
		return none, nil
	}
	return n, nil
}

// generations returns all there are, the oldest first.
func (g Group) generations() []generation {
	entries, _ := os.ReadDir(g.Directory)
	var all []generation
	for _, entry := range entries {
		n := generation(entry.Name())
		if _, err := n.made(); err == nil && entry.IsDir() {
			all = append(all, n)
		}
	}
	return all
}

// names returns the names of the files of a generation, those in folders too.
func (g Group) names(n generation) []string {
	if n == none {
		return nil
	}
	var names []string
	_ = fs.WalkDir(os.DirFS(g.path(n)), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	return names
}

// write makes a generation, and has it reach the disk.
func (g Group) write(n generation, full map[string][]byte) error {
	for _, m := range g.Files {
		path := filepath.Join(g.path(n), m.Name)
		err := os.MkdirAll(filepath.Dir(path), folderMode)
		if err == nil {
			var wanted ids
			if wanted, err = m.account().ids(); err == nil {
				err = create(path, full[m.Name], m.mode(), wanted, ids{unset, unset})
			}
		}
		if err != nil {
			return fmt.Errorf("file %q: %w", m.Name, bare(err))
		}
	}
	return filepath.WalkDir(g.path(n), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		// Whoever may enter the group's folder may pass here, whatever the
		// umask: the modes of the files are what protects them.
		if err := os.Chmod(path, folderMode); err != nil {
			return err
		}
		return syncFolder(path)
	})
}

// link makes the names of a generation lead through ..data. Files of that name
// that were there before the group are what the app reads until the switch, and
// replaced only after it.
func (g Group) link(n generation, replace bool) error {
	entries, err := os.ReadDir(g.path(n))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(g.Directory, entry.Name())
		want := filepath.Join(currentName, entry.Name())
		if target, err := os.Readlink(path); err == nil && target == want {
			continue
		}
		err := os.Symlink(want, path)
		if errors.Is(err, fs.ErrExist) {
			if !replace {
				continue
			}
			err = swapLink(want, path)
		}
		if err != nil {
			return fmt.Errorf("linking %q: %w", entry.Name(), bare(err))
		}
	}
	return nil
}

// swapLink replaces the file at path by a link, at once.
func swapLink(target, path string) error {
	temp := tempName(path)
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return nil
}

// point makes the link that is to replace ..data.
func (g Group) point(n generation) (temp string, err error) {
	temp = tempName(filepath.Join(g.Directory, currentName))
	return temp, os.Symlink(string(n), temp)
}

// settle puts the folder in order after a switch, or after one that was given
// up: it holds links to the files of the current generation, that, those to be
// kept, and nothing else that is the agent's.
func (g Group) settle(kept bool) error {
	current, err := g.current()
	if err != nil {
		return err
	}
	if kept {
		err = g.link(current, true)
	}
	g.sweep(current)
	return err
}

// sweep removes what is of no more use beside the current generation. What
// cannot be removed is left for another time.
func (g Group) sweep(current generation) {
	all := g.generations()
	at, _ := slices.BinarySearch(all, current)
	for i, n := range all {
		if i < at-g.Keep || n > current {
			g.remove(n)
		}
	}
	entries, _ := os.ReadDir(g.Directory)
	for _, entry := range entries {
		path := filepath.Join(g.Directory, entry.Name())
		name, temporary := tempOf(entry.Name())
		target, err := os.Readlink(path)
		switch {
		case temporary && entry.IsDir():
			if _, err := generation(name).made(); err == nil {
				_ = os.RemoveAll(path)
			}
		case err != nil:
		case temporary && (name == currentName || target == filepath.Join(currentName, name)),
			target == filepath.Join(currentName, entry.Name()) && missing(filepath.Join(g.path(current), entry.Name())):
			_ = os.Remove(path)
		}
	}
}

// remove takes a generation away whole: killed in between, what is left of it
// does not have the name of one.
func (g Group) remove(n generation) {
	temp := tempName(g.path(n))
	if os.Rename(g.path(n), temp) == nil {
		_ = os.RemoveAll(temp)
	}
}

// Rollback switches back to the generation before the current one, which is
// then gone for good. It fails if none was kept.
func (g Group) Rollback() error {
	s, err := g.stageBefore()
	if err != nil {
		return failed("rolling back", g.Directory, err)
	}
	return s.Commit()
}

// stageBefore stages the switch to the generation before the current one.
func (g Group) stageBefore() (*Staged, error) {
	current, err := g.current()
	if err != nil {
		return nil, err
	}
	all := g.generations()
	at, _ := slices.BinarySearch(all, current)
	if current == none || at == 0 {
		return nil, errors.New("there is no generation before the current one; set keep = 1 or more before the next change")
	}
	before := all[at-1]
	if err := g.link(before, false); err != nil {
		return nil, err
	}
	link, err := g.point(before)
	if err != nil {
		return nil, err
	}
	return &Staged{path: g.Directory, target: filepath.Join(g.Directory, currentName), temp: link, settle: g.settle}, nil
}
