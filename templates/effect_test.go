package templates

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Reference, section 2, row 16.
func TestEffectsAreReturnedAndNotApplied(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "new", "file")
	text := strings.ReplaceAll(`{{ with secret "database/creds/app" -}}
{{ .Data.username | writeToFile "PATH" "root" "7" "0640" -}}
{{ .Data.password | writeToFile "PATH" "" "ssl" "4600" "append,newline" -}}
{{ "x" | writeToFile "PATH/../other" "" "" "644" "newline" -}}
{{ "y" | writeToFile "PATH/../other" "" "" "600" }}.{{ end }}`, "PATH", path)
	pending, err := render(t, Config{Contents: text}, nil)
	if err != nil || len(pending.Pending) != 1 || pending.Effects != nil {
		t.Fatalf("while pending: %+v, %v", pending, err)
	}
	got, err := render(t, Config{Contents: text, Sandbox: folder}, secrets())
	if err != nil || string(got.Output) != "." {
		t.Fatalf("output %q, %v", got.Output, err)
	}
	want := []*Effect{
		{Path: path, Group: "ssl", Mode: 0o600 | fs.ModeSetuid, Content: []byte("v-app-1hunter2-hunter2\n")},
		{Path: filepath.Join(folder, "new", "other"), Mode: 0o600, Content: []byte("y")},
	}
	if !reflect.DeepEqual(got.Effects, want) {
		t.Errorf("got %+v, want %+v", got.Effects, want)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("the evaluation left %v, %v", entries, err)
	}
}

func TestEffectsThatAreRefused(t *testing.T) {
	folder := t.TempDir()
	sandbox := filepath.Join(folder, "in")
	for _, make := range []error{
		os.Mkdir(sandbox, 0o700),
		os.Symlink("..", filepath.Join(sandbox, "up")),
		os.Symlink("../nothing", filepath.Join(sandbox, "out")),
		os.Symlink("nothing", filepath.Join(sandbox, "dangling")),
		os.WriteFile(filepath.Join(sandbox, "there"), nil, 0o600),
		os.Symlink("there", filepath.Join(sandbox, "link")),
	} {
		if make != nil {
			t.Fatal(make)
		}
	}
	tests := map[string]struct{ args, says string }{
		"a file of the sandbox":          {`"IN/there" "" "" "0600" "x"`, ""},
		"a link within the sandbox":      {`"IN/link" "" "" "0600" "x"`, ""},
		"a folder that is made":          {`"IN/a/b/c" "" "" "0600" "x"`, ""},
		"a path out of the sandbox":      {`"IN/../x" "" "" "0600" "x"`, "outside of the sandbox"},
		"a link out of the sandbox":      {`"IN/out" "" "" "0600" "x"`, "path escapes"},
		"a folder out of the sandbox":    {`"IN/up/x" "" "" "0600" "x"`, "path escapes"},
		"a new one below such a folder":  {`"IN/up/x/y/z" "" "" "0600" "x"`, "path escapes"},
		"a link to nothing":              {`"IN/dangling" "" "" "0600" "x"`, "symbolic link to nothing"},
		"a file in place of a folder":    {`"IN/there/x" "" "" "0600" "x"`, "not a directory"},
		"a mode that is none":            {`"IN/x" "" "" "rw" "x"`, `"rw" is no mode`},
		"a mode of too many bits":        {`"IN/x" "" "" "10600" "x"`, "is no mode"},
		"an append to what is not there": {`"IN/x" "" "" "0600" "append" "x"`, "write the file's beginning first"},
		"no content":                     {`"IN/x" "" "" "0600"`, "writeToFile takes a path"},
		"too much":                       {`"IN/x" "" "" "0600" "" "x" "y"`, "writeToFile takes a path"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, Config{Contents: "{{ writeToFile " + strings.ReplaceAll(test.args, "IN", sandbox) + " }}", Sandbox: sandbox}, nil)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v, want %q", err, test.says)
			}
		})
	}
}

func TestWriteToFileCanBeDenied(t *testing.T) {
	if _, err := New(Config{Contents: `{{ "x" | writeToFile "/x" "" "" "0600" }}`, Denylist: []string{"writeTo*"}}); err == nil {
		t.Error("no error")
	}
}
