package storetest

import (
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/novatech/securevault/server/store"
)

// valueSize is the size of a lease's record, in bytes.
const valueSize = 900

// Bench measures puts and gets of records the size of a lease, by one worker
// and by 32, and lists of 3,000 keys.
func Bench(b *testing.B, open func(testing.TB) store.Store) {
	value := make([]byte, valueSize)
	rand.Read(value) // as after encryption, for disks that compress
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("put by %d", workers), func(b *testing.B) {
			s := open(b)
			run(b, workers, func(n int64) error {
				return s.Put(b.Context(), fmt.Sprintf("bench/%d", n), value)
			})
		})
		b.Run(fmt.Sprintf("get by %d", workers), func(b *testing.B) {
			s := open(b)
			put(b, s, "bench/one", string(value))
			run(b, workers, func(int64) error {
				_, err := s.Get(b.Context(), "bench/one")
				return err
			})
		})
	}
	b.Run("list of 3000", func(b *testing.B) {
		s := open(b)
		fill(b, s, 3000)
		for b.Loop() {
			if keys := list(b, s, "bench/"); len(keys) != 3000 {
				b.Fatalf("listed %d", len(keys))
			}
		}
	})
}

// run shares b.N calls of do among that many workers.
func run(b *testing.B, workers int, do func(n int64) error) {
	var next atomic.Int64
	b.ResetTimer()
	done := make(chan error, workers)
	for range workers {
		go func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := do(n); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range workers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// fill puts n keys at once, so that a durable store shares its fsyncs.
func fill(b *testing.B, s store.Store, n int) {
	done := make(chan error)
	for i := range n {
		go func() { done <- s.Put(b.Context(), fmt.Sprintf("bench/%05d", i), []byte("x")) }()
	}
	for range n {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
