package bench

import (
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// BenchmarkRefusedRenewals counts what a minute of refused renewals causes,
// for a lease of 20 s in each of four ways to refuse: the credentials that
// replace the first one, for each lifetime that has passed, and the renewals.
func BenchmarkRefusedRenewals(b *testing.B) {
	const ttl, watched = 20 * time.Second, time.Minute
	ways := []struct {
		name  string
		fault vaulttest.Fault
	}{
		{"400", vaulttest.Fault{Status: http.StatusBadRequest, Messages: []string{"no"}}},
		{"403", vaulttest.Fault{Status: http.StatusForbidden, Messages: []string{"permission denied"}}},
		{"500", vaulttest.Fault{Status: http.StatusInternalServerError, Messages: []string{"internal error"}}},
		{"hang", vaulttest.Fault{Hang: true}},
	}
	for _, p := range programs() {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				s := set(b, len(ways), vaulttest.Role{TTL: ttl, MaxTTL: time.Hour})
				for i, way := range ways {
					way.fault.Op, way.fault.Path = vaulttest.Renew, secretPath(i)+"/*"
					s.server.Inject(way.fault)
				}
				cmd := p.command(b, s)
				begin(b, s, cmd)
				time.Sleep(watched)
				for i, way := range ways {
					successors := s.server.Issued(secretPath(i)) - 1
					b.ReportMetric(float64(successors)/(watched.Seconds()/ttl.Seconds()), "new/lifetime-"+way.name)
				}
				b.ReportMetric(float64(s.server.Count(vaulttest.Renew)), "renewals")
				end(cmd)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkInterruptions counts the credentials that are issued anew for ten
// that are alive, when the daemon is restarted, killed and started again, and
// told to read its configuration anew.
func BenchmarkInterruptions(b *testing.B) {
	const count, watched = 10, 3 * time.Second
	for _, p := range programs() {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				s := set(b, count, lasting)
				s.keepState(b)
				cmd := p.command(b, s)
				begin(b, s, cmd)
				issued := count
				report := func(interruption string) {
					time.Sleep(watched)
					b.ReportMetric(float64(s.server.Issued("")-issued), "new/"+interruption)
					issued = s.server.Issued("")
				}
				restart := func() {
					_ = cmd.Wait()
					if err := os.RemoveAll(s.path("out")); err != nil {
						b.Fatal(err)
					}
					cmd = p.command(b, s)
					begin(b, s, cmd)
				}
				_ = cmd.Process.Signal(syscall.SIGINT)
				restart()
				report("restart")
				_ = cmd.Process.Kill()
				restart()
				report("kill")
				_ = cmd.Process.Signal(syscall.SIGHUP)
				report("reload")
				end(cmd)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
