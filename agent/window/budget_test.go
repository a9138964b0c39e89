package window

import (
	"slices"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	start := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	at := func(minutes ...int) []time.Time {
		var out []time.Time
		for _, m := range minutes {
			out = append(out, start.Add(time.Duration(m)*time.Minute))
		}
		return out
	}
	twice := Budget{Count: 2, Per: time.Hour}
	tests := []struct {
		name      string
		budget    Budget
		past      []time.Time
		now, want int // minutes
	}{
		{"no budget allows everything", Budget{}, at(0, 0, 0, 0), 0, 0},
		{"nothing spent is nothing to wait for", twice, nil, 0, 0},
		{"what is left may be spent at once", twice, at(0), 0, 0},
		{"what is spent comes back in its time", twice, at(0, 10), 20, 60},
		{"only the last events count", twice, at(0, 10, 50), 55, 70},
		{"what has come back may be spent at once", twice, at(0, 10), 60, 60},
		{"one at a time", Budget{Count: 1, Per: time.Minute}, at(5), 5, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, want := test.budget.Next(at(test.now)[0], test.past), at(test.want)[0]; !got.Equal(want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestNoHourHoldsMoreThanTheBudget(t *testing.T) {
	budget := Budget{Count: 3, Per: time.Hour}
	now := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	var past, all []time.Time
	for range 100 {
		now = budget.Next(now, past)
		past = budget.Spend(now, past)
		all = append(all, now)
		now = now.Add(7 * time.Minute)
	}
	if len(past) != budget.Count {
		t.Errorf("%d events are remembered, want %d", len(past), budget.Count)
	}
	for i := range len(all) - budget.Count {
		if all[i+budget.Count].Sub(all[i]) < budget.Per {
			t.Fatalf("there were %d events from %s to %s", budget.Count+1, all[i], all[i+budget.Count])
		}
	}
	if total := all[len(all)-1].Sub(all[0]); total > 33*time.Hour {
		t.Errorf("100 events took %s, want 33 hours or less", total)
	}
}

func TestSpendLeavesThePastAlone(t *testing.T) {
	past := make([]time.Time, 1, 4)
	Budget{Count: 3, Per: time.Hour}.Spend(time.Now(), past)
	if !slices.Equal(past[:2], make([]time.Time, 2)) {
		t.Error("the event was written into the list of the caller")
	}
	if kept := (Budget{}).Spend(time.Now(), nil); kept != nil {
		t.Errorf("without a budget %v was kept", kept)
	}
}
