package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rig is a folder with a key and a place for a state.
type rig struct {
	*testing.T
	dir string
}

func newRig(t *testing.T) rig {
	r := rig{t, t.TempDir()}
	r.write("key", []byte(strings.Repeat("k", minKey)))
	return r
}

func (r rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r rig) write(name string, content []byte) {
	r.Helper()
	if err := os.WriteFile(r.path(name), content, 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r rig) read(name string) []byte {
	r.Helper()
	content, err := os.ReadFile(r.path(name))
	if err != nil {
		r.Fatal(err)
	}
	return content
}

func (r rig) config() Config {
	return Config{Path: r.path("state"), Key: Key{File: r.path("key")}, Getenv: func(string) string { return "" }}
}

// open opens the state and returns it with its warnings.
func (r rig) open() (*Log, []string) {
	r.Helper()
	log, warnings, err := Open(r.config())
	if err != nil {
		r.Fatal(err)
	}
	return log, warnings
}

func (r rig) append(log *Log, records ...Record) {
	r.Helper()
	if err := log.Append(records...); err != nil {
		r.Fatal(err)
	}
}

// holds opens the state, closes it, and returns its records as text.
func (r rig) holds() (string, []string) {
	r.Helper()
	log, warnings := r.open()
	text := show(log.Records())
	if err := log.Close(); err != nil {
		r.Fatal(err)
	}
	return text, warnings
}

func show(records []Record) string {
	var text strings.Builder
	for _, record := range records {
		fmt.Fprintf(&text, "%s=%s ", record.Key, record.Value)
	}
	return text.String()
}

func value(text string) json.RawMessage { return json.RawMessage(`"` + text + `"`) }

func TestRecordsOutliveTheLog(t *testing.T) {
	r := newRig(t)
	log, warnings := r.open()
	if len(warnings) > 0 {
		t.Errorf("warnings for a new state: %v", warnings)
	}
	r.append(log, Record{"a", value("1")}, Record{"b", value("2")})
	r.append(log, Record{"a", value("3")}, Record{"b", nil}, Record{"c", value("4")})
	// No Close: a killed agent does not get to it. Its lock goes with it.
	log.release()
	if got, _ := r.holds(); got != `a="3" c="4" ` {
		t.Errorf("records = %s", got)
	}
}

// Reference, section 2, row 6.
func TestNothingReadableIsInTheFile(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	r.append(log, Record{"lease/database/creds/app", value("hunter2")})
	content := r.read("state")
	for _, text := range []string{"hunter2", "database", "lease"} {
		if bytes.Contains(content, []byte(text)) {
			t.Errorf("the file holds %q", text)
		}
	}
	info, err := os.Stat(r.path("state"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
}

// TestAFileCutOffAnywhereIsTheStateBeforeTheCut stands for a kill at every
// instant of a write.
func TestAFileCutOffAnywhereIsTheStateBeforeTheCut(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	states := map[string]bool{"": true}
	for i := range 3 {
		r.append(log, Record{fmt.Sprint(i), value("x")})
		states[show(log.Records())] = true
	}
	log.release()
	whole := r.read("state")
	for size := headSize; size <= len(whole); size++ {
		r.write("state", whole[:size])
		got, warnings := r.holds()
		if !states[got] || len(warnings) > 0 {
			t.Fatalf("cut at %d of %d: records %q, warnings %v", size, len(whole), got, warnings)
		}
	}
}

func TestAFileThatWasChangedAnywhereIsSetAside(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	r.append(log, Record{"a", value("1")})
	r.append(log, Record{"b", value("2")})
	log.release()
	whole := r.read("state")
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		r.write("state", changed)
		got, warnings := r.holds()
		// A changed length may look like a frame that was cut off.
		torn := got == "" || got == `a="1" `
		if len(warnings) == 0 && !torn || len(warnings) > 0 && got != "" {
			t.Fatalf("byte %d changed: records %q, warnings %v", i, got, warnings)
		}
		if strings.Contains(got, `b=`) {
			t.Fatalf("byte %d changed: the last record is still trusted", i)
		}
	}
}

func TestFramesCannotBeSwappedRepeatedOrBroughtIn(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	start := len(r.read("state"))
	r.append(log, Record{"a", value("1")})
	middle := len(r.read("state"))
	r.append(log, Record{"a", value("2")})
	whole := r.read("state")
	log.release()
	head, first, second := whole[:start], whole[start:middle], whole[middle:]

	other := newRig(t)
	foreign, _ := other.open()
	other.append(foreign, Record{"a", value("evil")})
	foreignFrame := other.read("state")[start:]

	for name, content := range map[string][]byte{
		"swapped":                   bytes.Join([][]byte{head, second, first}, nil),
		"repeated":                  bytes.Join([][]byte{head, first, first}, nil),
		"the middle one left out":   bytes.Join([][]byte{head, second}, nil),
		"of another file, same key": bytes.Join([][]byte{head, foreignFrame}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			r.write("state", content)
			if got, warnings := r.holds(); got != "" || len(warnings) != 1 {
				t.Errorf("records %q, warnings %v; want none, and one warning", got, warnings)
			}
		})
	}
}

func TestAStateThatIsNotOursIsSetAsideAndKept(t *testing.T) {
	tests := map[string]func(r rig){
		"of another server": func(r rig) {
			cfg := r.config()
			cfg.Origin = "https://elsewhere:8200"
			log, _, err := Open(cfg)
			if err != nil {
				r.Fatal(err)
			}
			r.append(log, Record{"a", value("1")})
			log.release()
		},
		"another program's file": func(r rig) { r.write("state", []byte("[Unit]\nDescription=x\n")) },
		"an empty file":          func(r rig) { r.write("state", nil) },
		"sealed with another key": func(r rig) {
			log, _ := r.open()
			r.append(log, Record{"a", value("1")})
			log.release()
			r.write("key", []byte(strings.Repeat("z", minKey)))
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			prepare(r)
			before := r.read("state")
			got, warnings := r.holds()
			if got != "" || len(warnings) != 1 || !strings.Contains(warnings[0], "cannot be trusted") {
				t.Errorf("records %q, warnings %v", got, warnings)
			}
			kept, _ := filepath.Glob(r.path("state.rejected-*"))
			if len(kept) != 1 {
				t.Fatalf("files set aside: %v", kept)
			}
			if after, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(before, after) {
				t.Errorf("what was set aside was changed: %v", err)
			}
		})
	}
}

func TestTwoAgentsCannotShareAState(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	if _, _, err := Open(r.config()); err == nil || !strings.Contains(err.Error(), "another agent") {
		t.Errorf("second use: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	second, _ := r.open()
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSupersededRecordsDoNotGrowTheFileForEver(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	for i := range 400 {
		r.append(log, Record{"a", value(strings.Repeat("x", 10_000) + fmt.Sprint(i))})
	}
	if size := len(r.read("state")); size > 2*worthwhile {
		t.Errorf("size after 4 MB of writes of one key = %d bytes", size)
	}
	log.release()
	if got, _ := r.holds(); !strings.HasSuffix(got, `399" `) {
		t.Errorf("the last record is missing")
	}
}

func TestAFailedWriteLeavesTheStateAsItWas(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	r.append(log, Record{"a", value("1")})
	_ = log.file.Close() // the disk is gone
	if err := log.Append(Record{"a", value("2")}); err == nil {
		t.Fatal("no error")
	}
	if got := show(log.Records()); got != `a="1" ` {
		t.Errorf("records after a failed write = %s", got)
	}
	r.append(log, Record{"a", value("3")}) // and back
	log.release()
	if got, warnings := r.holds(); got != `a="3" ` || len(warnings) > 0 {
		t.Errorf("records = %s, warnings %v", got, warnings)
	}
}

// Reference, section 3, row 5.
func TestKeys(t *testing.T) {
	r := newRig(t)
	r.write("short", []byte("too short\n"))
	credentials := func(name string) string {
		return map[string]string{"CREDENTIALS_DIRECTORY": r.dir}[name]
	}
	none := func(string) string { return "" }
	tests := []struct {
		name   string
		key    Key
		getenv func(string) string
		beside bool
		says   string
	}{
		{name: "a file", key: Key{File: r.path("key")}, getenv: none},
		{name: "a systemd credential", key: Key{Credential: "key"}, getenv: credentials},
		{name: "none is made beside the state", getenv: none, beside: true},
		{name: "a missing file", key: Key{File: r.path("missing")}, getenv: none, says: "missing"},
		{name: "a short key", key: Key{File: r.path("short")}, getenv: none, says: "32 or more"},
		{name: "no credentials directory", key: Key{Credential: "key"}, getenv: none, says: "LoadCredential"},
		{name: "a credential elsewhere", key: Key{Credential: "../key"}, getenv: credentials, says: "not a path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			key, beside, err := test.key.load(r.path("state"), test.getenv)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v does not say %q", err, test.says)
				}
				return
			}
			if err != nil || len(key) < minKey || beside != test.beside {
				t.Errorf("key of %d bytes, beside %v, %v", len(key), beside, err)
			}
		})
	}
	first, _, _ := Key{}.load(r.path("state"), none)
	second, _, _ := Key{}.load(r.path("state"), none)
	if !bytes.Equal(first, second) {
		t.Error("the key beside the state changes from start to start")
	}
}

// FuzzOpen opens whatever bytes: no panic, and nothing is trusted that was
// not sealed with the key.
func FuzzOpen(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(magic))
	f.Add(append(newHead(), 0, 0, 0, 1, 7))
	f.Add(append(newHead(), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, content []byte) {
		opener, err := newSealer(bytes.Repeat([]byte("k"), minKey), []byte("id"))
		if err != nil {
			t.Fatal(err)
		}
		in := bytes.NewReader(content)
		if _, err := readHead(in); err != nil {
			return
		}
		if records, err := opener.open(in); err == nil {
			t.Errorf("trusted %v", records)
		}
	})
}
