package alert

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConditionsAreRead(t *testing.T) {
	cases := map[string]struct {
		want Condition
		prom string
	}{
		"rate(secret.dynamic.create) > 100/min": {
			Condition{Function: Rate, Metric: "secret.dynamic.create", Window: time.Minute, Operator: ">", Threshold: 100.0 / 60},
			"sum(rate(secret_dynamic_create[60s])) > 1.6666666666666667"},
		"rate(secret.lease.renew.failure) > 10/min": {
			Condition{Function: Rate, Metric: "secret.lease.renew.failure", Window: time.Minute, Operator: ">", Threshold: 10.0 / 60},
			"sum(rate(secret_lease_renew_failure[60s])) > 0.16666666666666666"},
		`increase( secret.lease.revoke.failure{ mount = "db/", engine="database" } [5m] ) >= 3`: {
			Condition{Function: Increase, Metric: "secret.lease.revoke.failure", Window: 5 * time.Minute, Operator: ">=", Threshold: 3},
			`sum(increase(secret_lease_revoke_failure{engine="database",mount="db/"}[300s])) >= 3`},
		"secret.lease.count > 1e3": {Condition{Metric: "secret.lease.count", Operator: ">", Threshold: 1000}, "sum(secret_lease_count) > 1000"},
		"core.unsealed<1":          {Condition{Metric: "core.unsealed", Operator: "<", Threshold: 1}, "(sum(core_unsealed) or vector(0)) < 1"},
		"rate(a) != 3600/h":        {Condition{Function: Rate, Metric: "a", Window: time.Minute, Operator: "!=", Threshold: 1}, "(sum(rate(a[60s])) or vector(0)) != 1"},
		"rate(a) == 2":             {Condition{Function: Rate, Metric: "a", Window: time.Minute, Operator: "==", Threshold: 2}, "sum(rate(a[60s])) == 2"},
		"a <= -0.5":                {Condition{Metric: "a", Operator: "<=", Threshold: -0.5}, "sum(a) <= -0.5"},
	}
	for text, c := range cases {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.Function != c.want.Function || got.Metric != c.want.Metric || got.Window != c.want.Window ||
			got.Operator != c.want.Operator || math.Abs(got.Threshold-c.want.Threshold) > 1e-12 || got.String() != text {
			t.Errorf("%s: %+v, want %+v", text, got, c.want)
		}
		if prom := got.PromQL(""); prom != c.prom {
			t.Errorf("%s: %s, want %s", text, prom, c.prom)
		}
	}
	if c, _ := Parse("a > 1"); c.PromQL("my-vault.") != "sum(my_vault_a) > 1" {
		t.Error(c.PromQL("my-vault."))
	}
}

func TestMistakesInConditionsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "column 1: there is no metric",
		"rat(a) > 1":             `column 5: unknown function "rat"`,
		"rate(a > 1":             "no closing parenthesis",
		"rate(a) 1":              "there is no comparison",
		"rate(a) > much":         "no number to compare with",
		"rate(a) > 1/day":        `unknown unit "day"`,
		"a > 1/min":              "only a rate is per min",
		"a[5m] > 1":              "only rate and increase look back",
		"rate(a[1s]) > 1":        "duration from 10s to 24h",
		"rate(a[5m) > 1":         "duration from 10s to 24h",
		`a{mount=db} > 1`:        "stands in quotes",
		`a{mount="x" b="y"} > 1`: "separated by commas",
		"a > 1 and b > 2":        `"and b > 2" stands after the end`,
		"a > 1e999":              "no number to compare with",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"rate(secret.dynamic.create) > 100/min", `increase(a{b="c",d="\x00"}[5m]) != 1e-3`, "a<-1", "rate(a[24h])>=1/h", "a{} > 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		if c.Metric == "" || math.IsNaN(c.Threshold) || math.IsInf(c.Threshold, 0) || c.Function != Current && c.Window == 0 {
			t.Fatalf("%q: %+v", text, c)
		}
		again, err := Parse(c.String())
		if err != nil || again.PromQL("") != c.PromQL("") {
			t.Fatalf("%q reads differently again: %v", text, err)
		}
	})
}
