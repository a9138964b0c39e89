package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/novatech/securevault/internal/vaulttest"
)

// settling is how long a daemon has to come to rest once it has rendered
// everything.
const settling = 10 * time.Second

func BenchmarkMemoryAtRest(b *testing.B) {
	for _, count := range []int{1, 1000, 10_000} {
		for _, p := range programs() {
			b.Run(fmt.Sprintf("%s %d", p.name, count), func(b *testing.B) {
				s := set(b, count, lasting)
				for b.Loop() {
					cmd := p.command(b, s)
					begin(b, s, cmd)
					time.Sleep(settling)
					b.ReportMetric(float64(memory(b, cmd.Process.Pid))/1e6, "MB-RSS")
					end(cmd)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkRenewals measures what it costs to keep 1,000 leases alive that are
// renewed about every ten seconds.
func BenchmarkRenewals(b *testing.B) {
	// The TTL with which the program renews so often: we do it after a half of
	// it, consul-template after two thirds.
	ttls := map[string]time.Duration{"securevault": 20 * time.Second, "consul-template": 15 * time.Second}
	const watched = 30 * time.Second
	for _, p := range programs() {
		b.Run(p.name, func(b *testing.B) {
			s := set(b, 1000, vaulttest.Role{TTL: ttls[p.name], MaxTTL: 24 * time.Hour})
			for b.Loop() {
				cmd := p.command(b, s)
				begin(b, s, cmd)
				time.Sleep(settling / 2)
				cpu, renewals, issued := spent(b, cmd.Process.Pid), s.server.Count(vaulttest.Renew), s.server.Issued("")
				time.Sleep(watched)
				cpu, renewals, issued = spent(b, cmd.Process.Pid)-cpu, s.server.Count(vaulttest.Renew)-renewals, s.server.Issued("")-issued
				b.ReportMetric(float64(cpu.Microseconds())/float64(renewals), "cpu-µs/renewal")
				b.ReportMetric(float64(renewals)/watched.Seconds(), "renewals/s")
				b.ReportMetric(float64(issued), "new-credentials")
				end(cmd)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
