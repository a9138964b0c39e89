package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is a group of a certificate and its key.
func pair(t *testing.T) Group {
	t.Helper()
	return Group{
		Directory: filepath.Join(t.TempDir(), "tls"),
		Files:     []Member{{Name: "tls.crt", Mode: 0o644}, {Name: "tls.key"}},
		Keep:      1,
	}
}

// publish switches a group to contents given as name, content, name, content.
func publish(t *testing.T, g Group, contents ...string) *Staged {
	t.Helper()
	staged, err := g.Stage(filesOf(contents...))
	if err != nil {
		t.Fatal(err)
	}
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	return staged
}

func filesOf(contents ...string) map[string][]byte {
	files := make(map[string][]byte)
	for pair := range slices.Chunk(contents, 2) {
		files[pair[0]] = []byte(pair[1])
	}
	return files
}

// wantFiles checks what an app sees in a folder: names without "..", and what
// is in them. Names that lead nowhere count as missing.
func wantFiles(t *testing.T, g Group, contents ...string) {
	t.Helper()
	got := make(map[string]string)
	entries, err := os.ReadDir(g.Directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), hidden) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(g.Directory, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[entry.Name()] = string(content)
	}
	want := make(map[string]string)
	for name, content := range filesOf(contents...) {
		want[name] = string(content)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the group holds %q, want %q", got, want)
	}
}

func wantGenerations(t *testing.T, g Group, want int) {
	t.Helper()
	hiddenNames := 0
	entries, err := os.ReadDir(g.Directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			hiddenNames++
		}
	}
	if got := len(g.generations()); got != want || hiddenNames != want+1 {
		t.Errorf("there are %d generations and %d hidden names, want %d and %d", got, hiddenNames, want, want+1)
	}
}

func TestGroupSwitchesAllFilesAtOnce(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
	wantFiles(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
	staged, err := g.Stage(filesOf("tls.crt", "cert 2", "tls.key", "key 2"))
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert 2", "tls.key", "key 2")
	wantGenerations(t, g, 2)
	for name, want := range map[string]fs.FileMode{"tls.crt": 0o644, "tls.key": 0o600} {
		info, err := os.Stat(filepath.Join(g.Directory, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", name, info.Mode(), want)
		}
		if target, _ := os.Readlink(filepath.Join(g.Directory, name)); target != "..data/"+name {
			t.Errorf("%s leads to %q", name, target)
		}
	}
}

func TestGroupNamesWhatChanged(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert 1", "tls.key", "key")
	staged := publish(t, g, "tls.crt", "cert 2")
	if want := []string{filepath.Join(g.Directory, "tls.crt")}; !slices.Equal(staged.Paths(), want) {
		t.Errorf("changed were %q, want %q", staged.Paths(), want)
	}
	wantFiles(t, g, "tls.crt", "cert 2", "tls.key", "key")
}

func TestGroupUnchangedSwitchesNothing(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert", "tls.key", "key")
	before, _ := g.current()
	if err := os.Chmod(filepath.Join(g.Directory, "tls.key"), 0o666); err != nil {
		t.Fatal(err)
	}
	if publish(t, g, "tls.crt", "cert", "tls.key", "key").Changed() {
		t.Error("the same contents were reported as a change")
	}
	if after, _ := g.current(); after != before {
		t.Errorf("the generation went from %s to %s", before, after)
	}
	wantGenerations(t, g, 1)
	wantMode(t, filepath.Join(g.Directory, string(before), "tls.key"), 0o600)
}

// Reference, section 3, row 2.
func TestGroupRollsBackToTheGenerationBefore(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
	wantError(t, g.Rollback(), g.Directory, "no generation before")
	publish(t, g, "tls.crt", "cert 2", "tls.key", "key 2")
	publish(t, g, "tls.crt", "cert 3", "tls.key", "key 3")
	if err := g.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert 2", "tls.key", "key 2")
	wantGenerations(t, g, 1)
	wantError(t, g.Rollback(), "no generation before")
	publish(t, g, "tls.crt", "cert 3", "tls.key", "key 3")
	wantFiles(t, g, "tls.crt", "cert 3", "tls.key", "key 3")
	wantGenerations(t, g, 2)
}

func TestGroupRollsBackToOtherNames(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
	g.Files = []Member{{Name: "tls.key"}, {Name: "ca.crt"}}
	publish(t, g, "tls.key", "key 2", "ca.crt", "ca 2")
	wantFiles(t, g, "tls.key", "key 2", "ca.crt", "ca 2")
	if err := g.Rollback(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert 1", "tls.key", "key 1")
}

func TestGroupKeepsAsManyGenerationsAsAsked(t *testing.T) {
	for keep := range 4 {
		t.Run(fmt.Sprintf("%d beside the current one", keep), func(t *testing.T) {
			g := pair(t)
			g.Keep = keep
			for i := range 5 {
				publish(t, g, "tls.crt", fmt.Sprint("cert ", i), "tls.key", fmt.Sprint("key ", i))
			}
			wantGenerations(t, g, keep+1)
		})
	}
}

func TestGroupDropsAFileThatIsNoLongerWanted(t *testing.T) {
	g := pair(t)
	publish(t, g, "tls.crt", "cert", "tls.key", "key")
	g.Files = g.Files[:1]
	if staged := publish(t, g); !slices.Equal(staged.Paths(), []string{filepath.Join(g.Directory, "tls.key")}) {
		t.Errorf("changed were %q, want the file that went", staged.Paths())
	}
	wantFiles(t, g, "tls.crt", "cert")
}

func TestGroupInFolders(t *testing.T) {
	g := Group{Directory: t.TempDir(), Files: []Member{{Name: "db/password"}, {Name: "db/tls/ca.crt", Mode: 0o444}, {Name: "token"}}}
	publish(t, g, "db/password", "p", "db/tls/ca.crt", "ca", "token", "t")
	wantContent(t, filepath.Join(g.Directory, "db/tls/ca.crt"), "ca")
	wantContent(t, filepath.Join(g.Directory, "token"), "t")
	if target, _ := os.Readlink(filepath.Join(g.Directory, "db")); target != "..data/db" {
		t.Errorf("db leads to %q", target)
	}
	if publish(t, g, "db/password", "p", "db/tls/ca.crt", "ca", "token", "t").Changed() {
		t.Error("the same contents were reported as a change")
	}
}

func TestGroupTakesOverFilesOnlyWithTheSwitch(t *testing.T) {
	g := pair(t)
	if err := os.Mkdir(g.Directory, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(g.Directory, "tls.crt"), "before", 0o600)
	put(t, filepath.Join(g.Directory, "other"), "stays", 0o600)
	staged, err := g.Stage(filesOf("tls.crt", "cert", "tls.key", "key"))
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, filepath.Join(g.Directory, "tls.crt"), "before")
	if err := staged.Commit(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert", "tls.key", "key", "other", "stays")
}

func TestGroupDiscardedLeavesNothing(t *testing.T) {
	g := pair(t)
	staged, err := g.Stage(filesOf("tls.crt", "cert", "tls.key", "key"))
	if err != nil {
		t.Fatal(err)
	}
	staged.Discard()
	staged.Discard()
	wantNames(t, g.Directory)
}

func TestGroupFolderHasItsMode(t *testing.T) {
	g := pair(t)
	g.Mode = 0o750
	publish(t, g, "tls.crt", "cert", "tls.key", "key")
	wantMode(t, g.Directory, fs.ModeDir|0o750)
	if err := os.Chmod(g.Directory, 0o700); err != nil {
		t.Fatal(err)
	}
	publish(t, g, "tls.crt", "cert", "tls.key", "key")
	wantMode(t, g.Directory, fs.ModeDir|0o750)
}

func TestGroupIsOneOfSeveralThatArePublishedTogether(t *testing.T) {
	g := pair(t)
	f := File{Path: filepath.Join(t.TempDir(), "secret")}
	group, err := g.Stage(filesOf("tls.crt", "cert", "tls.key", "key"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := f.Stage([]byte("new"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Publish(group, file); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, g, "tls.crt", "cert", "tls.key", "key")
	wantContent(t, f.Path, "new")
}

func TestGroupRefusesWhatItCannotWrite(t *testing.T) {
	files := func(names ...string) (members []Member) {
		for _, name := range names {
			members = append(members, Member{Name: name})
		}
		return members
	}
	tests := []struct {
		name    string
		prepare func(folder string) error
		files   []Member
		want    string
	}{
		{"no files", nil, nil, "has no files"},
		{"a name that leads out", nil, files("../secret"), "plain path"},
		{"an absolute name", nil, files("/secret"), "plain path"},
		{"a name that is not plain", nil, files("a//b"), "plain path"},
		{"a name of ours", nil, files("..data"), "agent's own"},
		{"the same name twice", nil, files("a", "b", "a"), `"a": it is in the way`},
		{"a name that is a folder of another", nil, files("a/b", "a"), `"a": it is in the way of "a/b"`},
		{"an unknown user", nil, []Member{{Name: "a", Owner: "no-such-user"}}, `user "no-such-user"`},
		{"a folder in the way", func(folder string) error { return os.Mkdir(folder+"/a", 0o755) }, files("a"), "is a folder"},
		{"a ..data of somebody else", func(folder string) error { return os.Symlink("..2026", folder+"/..data") }, files("a"), "not the agent's"},
		{"a ..data that is no link", func(folder string) error { return os.Mkdir(folder+"/..data", 0o755) }, files("a"), "choose another folder"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := Group{Directory: t.TempDir(), Files: test.files}
			if test.prepare != nil {
				if err := test.prepare(g.Directory); err != nil {
					t.Fatal(err)
				}
			}
			contents := make(map[string][]byte)
			for _, m := range test.files {
				contents[m.Name] = []byte("new")
			}
			_, err := g.Stage(contents)
			wantError(t, err, g.Directory, test.want)
		})
	}
	_, err := pair(t).Stage(filesOf("tls.crt", "cert"))
	wantError(t, err, `"tls.key"`, "neither new nor old")
	_, err = pair(t).Stage(filesOf("tls.crt", "cert", "tls.key", "key", "ca.crt", "ca"))
	wantError(t, err, `"ca.crt"`, "none of the group")
}

func TestGroupOnAFullDiskKeepsTheOldGeneration(t *testing.T) {
	folder, full := limitDisk(t, 64<<10)
	g := pair(t)
	g.Directory = filepath.Join(folder, "tls")
	publish(t, g, "tls.crt", "cert", "tls.key", "key")
	_, err := g.Stage(filesOf("tls.crt", "cert 2", "tls.key", strings.Repeat("x", 128<<10)))
	wantError(t, err, g.Directory, "tls.key")
	if !errors.Is(err, full) {
		t.Errorf("the error %q is not %q", err, full)
	}
	wantFiles(t, g, "tls.crt", "cert", "tls.key", "key")
	wantGenerations(t, g, 1)
}

func TestGenerationsSortEvenIfTheClockIsSetBack(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC)
	first := none.next(now)
	if first != "..2026_11_23_15_04_05.000000000" {
		t.Errorf("the first generation is %q", first)
	}
	second := first.next(now.Add(-time.Hour))
	third := second.next(now.Add(time.Second))
	if !slices.IsSorted([]generation{first, second, third}) || first == second {
		t.Errorf("%q, %q and %q are not in order", first, second, third)
	}
}
