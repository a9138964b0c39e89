package nearest

import "testing"

func TestHintNamesTheClosestWordOrNone(t *testing.T) {
	candidates := []string{"postgresql-database-plugin", "mysql-database-plugin"}
	cases := map[string]string{
		"postgres-database-plugin":   `, did you mean "postgresql-database-plugin"?`,
		"my-sql-database-plugin":     `, did you mean "mysql-database-plugin"?`,
		"postgresql-database-plugin": `, did you mean "postgresql-database-plugin"?`,
		"kv":                         "",
		"":                           "",
	}
	for word, want := range cases {
		if got := Hint(word, candidates); got != want {
			t.Errorf("Hint(%q) is %q, want %q", word, got, want)
		}
	}
	if got := distance("kitten", "sitting"); got != 3 {
		t.Errorf("distance of kitten and sitting is %d, want 3", got)
	}
}
