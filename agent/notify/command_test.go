package notify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func run(t *testing.T, c Command, event Event) {
	t.Helper()
	if err := c.Notify(t.Context(), event); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestCommandKnowsWhatChanged(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	run(t, Command{Line: `echo "$SECUREVAULT_GENERATION $SECUREVAULT_CHANGED $ADDED" > '` + out + "'", Env: []string{"ADDED=too"}},
		Event{Generation: 7, Changed: []string{"/etc/a", "/etc/b"}})
	if got := read(t, out); got != "7 /etc/a,/etc/b too\n" {
		t.Errorf("the command was told %q", got)
	}
}

func TestCommandThatFailsIsAnErrorWithItsOutput(t *testing.T) {
	err := Command{Line: "echo broken; exit 3", Env: []string{"PASSWORD=hunter2"}}.Notify(t.Context(), Event{})
	wantError(t, err, `command "echo"`, "exit status 3", "broken")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error %q repeats the environment", err)
	}
}

func TestLongListOfChangesStillRuns(t *testing.T) {
	var changed []string
	for i := range 20_000 {
		changed = append(changed, fmt.Sprintf("/etc/app/secrets/%d", i))
	}
	run(t, Command{Line: `case "$SECUREVAULT_CHANGED" in /etc/app/secrets/0,*,…) ;; *) exit 1 ;; esac`}, Event{Changed: changed})
}
