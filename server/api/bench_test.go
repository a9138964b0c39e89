package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/novatech/securevault/server/core/coretest"
)

// clients is how many requests are under way at a time, per processor.
const clients = 4

func (c client) bench(b *testing.B, method, path string, body func() string) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	b.Cleanup(transport.CloseIdleConnections)
	b.SetParallelism(clients)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		text := body()
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), method, c.url+path, strings.NewReader(text))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("X-Vault-Token", coretest.Root)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

func BenchmarkLookupSelf(b *testing.B) {
	start(b).bench(b, "GET", "/v1/auth/token/lookup-self", func() string { return "" })
}

func BenchmarkRenew(b *testing.B) {
	c := start(b)
	c.bench(b, "PUT", "/v1/sys/leases/renew", func() string {
		resp := c.Must(b, coretest.Root, "read", "fake/creds/app", nil)
		return fmt.Sprintf(`{"lease_id":%q,"increment":3600}`, resp.Secret.LeaseID)
	})
}

func BenchmarkIssue(b *testing.B) {
	start(b).bench(b, "GET", "/v1/fake/creds/app", func() string { return "" })
}
