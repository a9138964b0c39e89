package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
)

func TestAProcessIsHeardAndEnded(t *testing.T) {
	tests := map[string]struct {
		script string
		ends   bool   // by itself
		lost   string // what the guard says; empty: nothing
		want   string // error of stop; empty: none
	}{
		"one that ends when asked to":      {`trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done`, false, "", ""},
		"one that ends badly when asked":   {`trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done`, false, "", "exit status 3; its last words: bye"},
		"one that ends before it is asked": {`echo ready; echo oops >&2; exit 4`, true, "before its time: exit status 4; its last words: oops", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			heard := make(chan string, 10)
			p, err := launch("sh", exec.CommandContext(context.Background(), "sh", "-c", test.script), func(line []byte) { heard <- string(line) })
			if err != nil {
				t.Fatal(err)
			}
			if line := <-heard; line != "ready" {
				t.Errorf("heard %q, want %q", line, "ready")
			}
			if test.ends {
				<-p.done
			}
			stopErr := p.stop()
			if test.want == "" && stopErr != nil || test.want != "" && (stopErr == nil || !strings.Contains(stopErr.Error(), test.want)) {
				t.Errorf("stopping: got %v, want %q", stopErr, test.want)
			}
			var lost string
			p.guard(func(err error) { lost = err.Error() })
			if test.lost == "" && lost != "" || !strings.Contains(lost, test.lost) {
				t.Errorf("the guard says %q, want %q", lost, test.lost)
			}
		})
	}
}
