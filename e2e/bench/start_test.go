package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

var lasting = vaulttest.Role{TTL: time.Hour, MaxTTL: 24 * time.Hour}

func BenchmarkOneSecret(b *testing.B) {
	startBoth(b, 1, "securevault with login", "consul-template with token")
}

func BenchmarkThousandSecrets(b *testing.B) { startBoth(b, 1000, "securevault", "consul-template") }

func BenchmarkTenThousandSecrets(b *testing.B) {
	startBoth(b, 10_000, "securevault", "consul-template")
}

// startBoth measures both programs with as many secrets.
func startBoth(b *testing.B, count int, ours, theirs string) {
	b.Run(ours, func(b *testing.B) {
		s := set(b, count, lasting)
		once(b, s, func() *exec.Cmd { return s.agent(b, "-exit-after-auth") })
	})
	b.Run(theirs, func(b *testing.B) {
		s := set(b, count, lasting)
		once(b, s, func() *exec.Cmd { return s.peer(b, "-once") })
	})
}

// once runs a program that renders everything and ends, b.N times. Beside the
// time it reports what the machine's other work changes little: the time that
// the program had a processor, and the most memory it held.
func once(b *testing.B, s *scene, run func() *exec.Cmd) {
	b.Helper()
	before := s.server.Requests()
	var spent time.Duration
	var peak int64 // bytes
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		// Moved, not removed: ext4 spends its time on stepping over inodes
		// that were freed in the last seconds.
		if err := os.Rename(s.path("out"), s.path(fmt.Sprintf("out-%d", i))); err != nil && i > 0 {
			b.Fatal(err)
		}
		cmd := run()
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		b.StartTimer()
		if err := cmd.Run(); err != nil || !s.rendered() {
			b.Fatalf("running %s: %v\n%s", cmd.Path, err, stderr.String())
		}
		spent += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss*1024)
	}
	runs := float64(b.N)
	b.ReportMetric(b.Elapsed().Seconds()*1e3/runs, "ms/run")
	b.ReportMetric(spent.Seconds()*1e3/runs, "cpu-ms/run")
	b.ReportMetric(float64(peak)/1e6, "MB-peak")
	b.ReportMetric(float64(s.server.Requests()-before)/runs, "requests/run")
	b.ReportMetric(0, "ns/op")
}
