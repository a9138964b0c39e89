package agent

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/novatech/securevault/agent/config"
)

// logTo opens a log file in a folder of its own.
func logTo(t *testing.T, r rotation) *logFile {
	t.Helper()
	l, err := openLogFile(filepath.Join(t.TempDir(), "app.log"), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *logFile) say(t *testing.T, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := l.Write([]byte(line + "\n")); err != nil || n != len(line)+1 {
			t.Fatalf("writing %q: %d bytes, %v", line, n, err)
		}
	}
}

// contents returns what the files in the folder of a log hold, the oldest
// first and the one in use last.
func contentsOf(t *testing.T, l *logFile) []string {
	t.Helper()
	names, err := l.old()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range append(names, l.path) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(content))
	}
	return out
}

func wantContents(t *testing.T, l *logFile, want ...string) {
	t.Helper()
	if got := contentsOf(t, l); !slices.Equal(got, want) {
		t.Errorf("the files hold %q, want %q", got, want)
	}
}

func TestALogFileIsChangedBySize(t *testing.T) {
	l := logTo(t, rotation{size: 10})
	l.say(t, "one", "two", "three", "longer than any file may be", "four")
	wantContents(t, l, "one\ntwo\n", "three\n", "longer than any file may be\n", "four\n")
	for _, entry := range must(os.ReadDir(filepath.Dir(l.path))) {
		if info := must(entry.Info()); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the permissions %s", entry.Name(), info.Mode())
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestALogFileIsChangedByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logTo(t, rotation{age: 24 * time.Hour})
		time.Sleep(48 * time.Hour)
		l.say(t, "one") // nothing was in it: it begins here
		time.Sleep(24*time.Hour - 1)
		l.say(t, "two")
		time.Sleep(time.Nanosecond)
		l.say(t, "three")
		wantContents(t, l, "one\ntwo\n", "three\n")
		old, _ := l.old()
		if want := strings.TrimSuffix(l.path, ".log") + "-20000104T000000.000000000Z.log"; !slices.Equal(old, []string{want}) {
			t.Errorf("the old file is %q, want %q", old, want)
		}
	})
}

func TestAsManyOldLogFilesAreKeptAsAreWanted(t *testing.T) {
	for keep, want := range map[int][]string{0: {"1\n", "2\n", "3\n", "4\n"}, 2: {"2\n", "3\n", "4\n"}, -1: {"4\n"}} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			l := logTo(t, rotation{size: 1, keep: keep})
			foreign := strings.TrimSuffix(l.path, ".log") + "-audit.log"
			if err := os.WriteFile(foreign, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			l.say(t, "1", "2", "3", "4")
			wantContents(t, l, want...)
			if _, err := os.Stat(foreign); err != nil {
				t.Errorf("a file that is no log of ours: %v", err)
			}
		})
	}
}

func TestNoLineIsLostOrSplitWhileTheFileIsChanged(t *testing.T) {
	l := logTo(t, rotation{size: 500})
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := range 250 {
				if _, err := fmt.Fprintf(l, "writer %d says %d\n", writer, i); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := l.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	seen := make(map[string]bool)
	for _, content := range contentsOf(t, l) {
		if len(content) > 500 || !strings.HasSuffix(content, "\n") {
			t.Errorf("a file of %d bytes ends with %q", len(content), content[max(0, len(content)-10):])
		}
		for line := range strings.Lines(content) {
			seen[line] = true
		}
	}
	for writer := range 4 {
		for i := range 250 {
			if line := fmt.Sprintf("writer %d says %d\n", writer, i); !seen[line] {
				t.Fatalf("%q is missing", line)
			}
		}
	}
}

func TestALogFileThatWasRenamedIsMadeAnew(t *testing.T) {
	for _, reopened := range []bool{true, false} {
		l := logTo(t, rotation{size: 8})
		l.say(t, "one")
		moved := l.path + ".1"
		if err := os.Rename(l.path, moved); err != nil {
			t.Fatal(err)
		}
		l.say(t, "two")
		if reopened {
			if err := l.Reopen(); err != nil {
				t.Fatal(err)
			}
		}
		l.say(t, "three")
		wantContents(t, l, "three\n")
		if got := string(must(os.ReadFile(moved))); got != "one\ntwo\n" {
			t.Errorf("the renamed file holds %q", got)
		}
	}
}

func TestALogFileThatCannotBeChangedIsWrittenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := logTo(t, rotation{size: 4})
		folder := filepath.Dir(l.path)
		l.say(t, "one")
		// Nothing can be made under a path that leads through a file.
		elsewhere := filepath.Join(t.TempDir(), "moved")
		if err := os.Rename(folder, elsewhere); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Write([]byte("two\n")); n != 4 || err == nil {
			t.Errorf("writing returned %d, %v", n, err)
		}
		l.say(t, "three") // the next try comes later
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(elsewhere, folder); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rotationRetry)
		l.say(t, "four")
		wantContents(t, l, "one\ntwo\nthree\n", "four\n")
	})
}

func TestTheAgeOfALogFileSurvivesARestart(t *testing.T) {
	l := logTo(t, rotation{age: time.Hour})
	l.say(t, "one")
	if err := os.Chtimes(l.path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	again, err := openLogFile(l.path, l.rotation)
	if err != nil {
		t.Fatal(err)
	}
	if again.size != 4 || again.since.After(time.Now()) {
		t.Errorf("a file of 4 bytes made just now is said to have %d, and to be of %s", again.size, again.since)
	}
}

func TestWhatIsNoRegularFileIsNeverRenamed(t *testing.T) {
	l, err := openLogFile(os.DevNull, rotation{size: 1, age: 1, keep: -1})
	if err != nil {
		t.Fatal(err)
	}
	l.say(t, "one", "two")
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		t.Fatalf("the device is %v, %v", info, err)
	}
}

func TestTheLogGoesWhereTheConfigurationSays(t *testing.T) {
	dir := t.TempDir()
	file := &config.File{LogLevel: "info", LogFormat: "json", LogFile: dir + "/", LogRotateBytes: 1}
	var stderr strings.Builder
	log, destination, err := newLog(file, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("first")
	log.Info("second")
	wantLines := contentsOf(t, destination.file)
	if len(wantLines) != 2 || !strings.Contains(wantLines[0], "first") || !strings.Contains(wantLines[1], "second") {
		t.Errorf("the files hold %q", wantLines)
	}
	if destination.file.path != filepath.Join(dir, "agent.log") || stderr.Len() > 0 {
		t.Errorf("the log is in %q, standard error has %q", destination.file.path, &stderr)
	}
	if err := destination.file.Close(); err != nil {
		t.Error(err)
	}
	destination.file.rotation = rotation{}
	log.Info("third")
	if !strings.Contains(stderr.String(), "closed") {
		t.Errorf("a log that cannot be written says %q on standard error", &stderr)
	}
}
