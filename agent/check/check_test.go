package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stage puts content beside its destination.
func stage(t *testing.T, destination, content string) Staged {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".staged")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return Staged{destination, path}
}

func TestCheckSeesTheStagedFiles(t *testing.T) {
	env, ca := stage(t, "/etc/app/db.env", "PASSWORD=new"), stage(t, `/etc/app/"ca".pem`, "")
	out := filepath.Join(t.TempDir(), "out")
	c := Check{Line: `grep -q new "$SECUREVAULT_STAGED_FILE" && printf %s "$SECUREVAULT_STAGED$ADDED" > '` + out + "'", Env: []string{"ADDED= too"}}
	if err := c.Run(t.Context(), env, ca); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	list, ok := strings.CutSuffix(string(content), " too")
	var got map[string]string
	if err := json.Unmarshal([]byte(list), &got); err != nil || !ok {
		t.Fatalf("the check was told %q: %v", content, err)
	}
	if want := map[string]string{env.Destination: env.Path, ca.Destination: ca.Path}; !maps.Equal(got, want) {
		t.Errorf("the check was told %v, want %v", got, want)
	}
}

func TestCheckErrors(t *testing.T) {
	env := stage(t, "/etc/app/db.env", "PASSWORD=hunter2")
	var many []Staged
	for i := range 3000 {
		many = append(many, Staged{fmt.Sprintf("/etc/app/secrets/%d", i), fmt.Sprintf("/etc/app/secrets/.%d.tmp", i)})
	}
	tests := []struct {
		name  string
		check Check
		files []Staged
		want  []string
	}{
		{"a check that fails", Check{Line: "psql() { echo 'password authentication failed' >&2; return 2; }; psql"}, []Staged{env},
			[]string{"exit status 2", "password authentication failed"}},
		{"a check that takes too long", Check{Args: []string{"sleep", "600"}, Timeout: 200 * time.Millisecond}, []Staged{env},
			[]string{`"sleep"`, "killed after 200ms"}},
		{"a check that is missing", Check{Args: []string{"no-such-check"}}, []Staged{env}, []string{`"no-such-check"`, "install it"}},
		{"no check", Check{}, []Staged{env}, []string{"name a program"}},
		{"nothing to check", Check{Args: []string{"true"}}, nil, []string{"no file is staged"}},
		{"more than fits the environment", Check{Args: []string{"true"}}, many, []string{"3000 files", "120 KiB", "fewer outputs"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.check.Run(t.Context(), test.files...)
			if err == nil {
				t.Fatal("the check passed")
			}
			for _, part := range append(test.want, "checking new content") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q lacks %q", err, part)
				}
			}
		})
	}
}

func TestAsManyFilesAsAreAllowedStillRun(t *testing.T) {
	var files []Staged
	for i := range 850 { // 140 bytes each
		path := fmt.Sprintf("/etc/app/secrets/%050d", i)
		files = append(files, Staged{path, path})
	}
	if err := (Check{Args: []string{"true"}}).Run(t.Context(), files...); err != nil {
		t.Error(err)
	}
}

func TestStatusOfTheCheckIsInTheError(t *testing.T) {
	err := Check{Line: "exit 7"}.Run(t.Context(), stage(t, "/a", ""))
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("got %v, want the status 7", err)
	}
}

func TestARelativePathReachesTheProgramWhole(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("staged", []byte("GOOD=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Check{Line: `. "$SECUREVAULT_STAGED_FILE" && test "$GOOD" = yes`}
	if err := c.Run(t.Context(), Staged{Destination: "app.env", Path: "staged"}); err != nil {
		t.Error(err)
	}
}
