package e2e

import (
	"fmt"
	"testing"
	"time"
)

// nobody is a role that costs PostgreSQL little: there may be very many.
const nobody = `CREATE ROLE "{{name}}" NOLOGIN`

// settling is how long the server has to come to rest.
const settling = 5 * time.Second

// BenchmarkSize issues leases and tells, at several counts, how much memory the
// server takes, and how long it takes after a kill until it answers.
func BenchmarkSize(b *testing.B) {
	for b.Loop() {
		s := newServer(b)
		s.mountDatabase(b, startPostgres(b), map[string]string{"nobody": nobody})
		issued := 0
		for _, count := range []int{2000, 30_000, 100_000} {
			last := s.issue(b, "nobody", count-issued)[0]
			issued = count
			time.Sleep(settling)
			own, mapped := s.memory(b)
			b.ReportMetric(float64(own+mapped)/1e6, fmt.Sprintf("MB-RSS/%d", count))
			b.ReportMetric(float64(mapped)/1e6, fmt.Sprintf("MB-mapped/%d", count))
			s.kill()
			b.ReportMetric(s.restart(b, last).Seconds()*1e3, fmt.Sprintf("ms-start/%d", count))
		}
	}
	b.ReportMetric(0, "ns/op")
}

// restart starts the server and returns how long it took to tell of a lease.
func (s *server) restart(b *testing.B, lease string) time.Duration {
	b.Helper()
	begun := time.Now()
	s.start(b)
	for {
		c, err := dial(s.address, s.token)
		if err == nil {
			_, err = c.send("PUT", "sys/leases/lookup", `{"lease_id":"`+lease+`"}`)
			c.close()
		}
		if err == nil {
			return time.Since(begun)
		}
		if time.Since(begun) > startTimeout {
			b.Fatalf("the server does not answer: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}
