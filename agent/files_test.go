package agent

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// owned is every kind of output that is a file, each with the same owner, group
// and mode.
const owned = `
template {
  contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.username | writeToFile \"DIR/side\" \"OWNER\" \"GROUP\" \"0640\" }}x{{ end }}"
  destination = "DIR/template"
  perms       = "0640"
  owner       = "OWNER"
  group       = "GROUP"
}
template {
  secret      = "database/creds/app"
  format      = "json"
  destination = "DIR/format"
  mode        = "0640"
  uid         = "OWNER"
  gid         = "GROUP"
  in_place    = true
}
env_file {
  destination = "DIR/env"
  perms       = "0640"
  owner       = "OWNER"
  group       = "GROUP"
  env_template "DB_USER" { contents = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}" }
}
group "db" {
  directory = "DIR/folder"
  template {
    contents    = "{{ with secret \"database/creds/app\" }}{{ .Data.username }}{{ end }}"
    destination = "member"
    perms       = "0640"
    owner       = "OWNER"
    group       = "GROUP"
  }
}
`

// Reference, section 2, row 19.
func TestEveryFileHasItsOwnerGroupAndMode(t *testing.T) {
	owner, group := os.Getuid(), os.Getgid()
	if owner == 0 {
		owner, group = 12345, 12346 // only root can give a file away
	}
	within(t, func(r *rig) {
		text := strings.Replace(approle, "auto_auth {", `auto_auth {
  sink "file" {
    config = {
      path  = "DIR/token"
      mode  = "0640"
      owner = "OWNER"
      group = "GROUP"
    }
  }`, 1) + owned
		r.launch(strings.NewReplacer("OWNER", fmt.Sprint(owner), "GROUP", fmt.Sprint(group)).Replace(text), Options{})
		files := []string{"token", "template", "side", "format", "env", "folder/member"}
		verify := func() {
			t.Helper()
			for _, name := range files {
				info, err := os.Stat(r.path(name))
				if err != nil {
					t.Fatal(err)
				}
				stat := info.Sys().(*syscall.Stat_t)
				if int(stat.Uid) != owner || int(stat.Gid) != group || info.Mode().Perm() != 0o640 {
					t.Errorf("at +%s: %s has %d:%d and mode %s, want %d:%d and 0640", time.Since(r.start), name, stat.Uid, stat.Gid, info.Mode(), owner, group)
				}
			}
		}
		verify()
		r.at(240 * time.Second)
		r.expect("side after the rotation", r.read("side"), "v-app-2")
		verify()
		r.expect("end", r.end(), nil)
	})
}

// Reference, section 2, row 20.
func TestARunThatEndsByItselfWaitsForItsHooks(t *testing.T) {
	tests := map[string]struct {
		command string
		code    int
		says    string
	}{
		"a hook that takes its time":         {"sleep 0.3; cat DIR/db >DIR/told", ExitOK, ""},
		"a hook that succeeds in the end":    {"test -e DIR/tried && cat DIR/db >DIR/told; touch DIR/tried; test -e DIR/told", ExitOK, ""},
		"a hook that never succeeds in time": {"exit 3", ExitNotify, "the time is up after 1m0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			within(t, func(r *rig) {
				r.launch(approle+pair("db")+"notify \"command\" {\n command = \""+test.command+"\"\n}", Options{Once: true, Deadline: time.Minute})
				err := <-r.done
				r.expect("exit code", ExitCode(err), test.code)
				if told := r.read("told"); test.code == ExitOK && told != "v-app-1:password-1" {
					t.Errorf("the app was told of %q at the end", told)
				}
				if test.says != "" && !strings.Contains(err.Error(), test.says) {
					t.Errorf("the error %q does not say %q", err, test.says)
				}
				r.expect("credentials", r.server.Issued(creds), 1)
			})
		})
	}
}
