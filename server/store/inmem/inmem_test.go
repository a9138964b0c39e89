package inmem_test

import (
	"testing"

	"github.com/novatech/securevault/server/store"
	"github.com/novatech/securevault/server/store/inmem"
	"github.com/novatech/securevault/server/store/storetest"
)

func fresh(testing.TB) store.Store { return inmem.New() }

func TestMemoryMeetsTheContractOfStores(t *testing.T) { storetest.Run(t, fresh) }

func BenchmarkMemory(b *testing.B) { storetest.Bench(b, fresh) }
