package state

import (
	"os"
	"strings"
	"testing"
)

func TestAStateIsReadWhileAnAgentUsesIt(t *testing.T) {
	r := newRig(t)
	if records, err := Read(r.config()); err != nil || len(records) != 0 {
		t.Fatalf("a state that is missing: %v, %v", records, err)
	}
	log, _ := r.open()
	defer func() { _ = log.Close() }()
	r.append(log, Record{Key: "token", Value: []byte(`"value"`)})
	before := r.read("state")
	records, err := Read(r.config())
	if err != nil || len(records) != 1 || records[0].Key != "token" {
		t.Errorf("%v, %v", records, err)
	}
	if string(r.read("state")) != string(before) {
		t.Error("reading has changed the state")
	}
}

func TestReadingAStateThatCannotBeUsedChangesNothing(t *testing.T) {
	r := newRig(t)
	log, _ := r.open()
	r.append(log, Record{Key: "token", Value: []byte(`"value"`)})
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	entries := func() (names []string) {
		all, err := os.ReadDir(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			names = append(names, e.Name())
		}
		return names
	}
	before := entries()
	foreign := r.config()
	foreign.Origin = "elsewhere"
	if _, err := Read(foreign); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("a state of another origin: %v", err)
	}
	keyless := r.config()
	keyless.Key = Key{}
	if _, err := Read(keyless); err == nil || !strings.Contains(err.Error(), "sealing key") {
		t.Errorf("a state without its key: %v", err)
	}
	if after := entries(); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("files before %v, after %v", before, after)
	}
}
