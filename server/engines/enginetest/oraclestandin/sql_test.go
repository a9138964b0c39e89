package oraclestandin

import (
	"strings"
	"testing"
)

// newSession returns a session of a user of a new database.
func newSession(t *testing.T, user string) *session {
	t.Helper()
	d := newDatabase()
	for _, statement := range []string{
		`CREATE USER app IDENTIFIED BY "Secret-1"`, "GRANT CREATE SESSION TO app", "GRANT SELECT ON shop.orders TO app",
	} {
		if _, err := d.begin(System, "", func() {}).execute(statement, nil); err != nil {
			t.Fatalf("running %q: %v", statement, err)
		}
	}
	return d.begin(user, "", func() {})
}

// statementCase is a statement of a user and the number of the error it gives, 0
// if it works.
type statementCase struct {
	user, statement string
	code            int
}

func checkStatements(t *testing.T, cases map[string]statementCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := newSession(t, test.user).execute(test.statement, nil)
			if got := codeOf(err); got != test.code || err != nil && got == 0 {
				t.Errorf("got %v, want ORA-%05d", err, test.code)
			}
		})
	}
}

func TestAccountsAndGrantsAreReadStrictly(t *testing.T) {
	checkStatements(t, map[string]statementCase{
		"a user":                            {Admin, `CREATE USER v_1 IDENTIFIED BY "Pass-1" DEFAULT TABLESPACE users QUOTA UNLIMITED ON users`, 0},
		"a comment":                         {Admin, "-- new\nCREATE /* a */ USER v_1 IDENTIFIED BY x", 0},
		"a semicolon at the end":            {Admin, "GRANT CREATE SESSION TO app;", 911},
		"a character SQL does not know":     {Admin, "GRANT CREATE SESSION TO app & more", 911},
		"a name that is taken":              {Admin, "CREATE USER App IDENTIFIED BY x", 1920},
		"the same name in quotes":           {Admin, `CREATE USER "app" IDENTIFIED BY x`, 0},
		"a name of 31 bytes":                {Admin, "CREATE USER " + strings.Repeat("a", 31) + " IDENTIFIED BY x", 972},
		"a password of 31 bytes":            {Admin, "CREATE USER a IDENTIFIED BY " + strings.Repeat("a", 31), 972},
		"a password that needs quotes":      {Admin, "CREATE USER a IDENTIFIED BY 1a", 988},
		"a password in the wrong quotes":    {Admin, "CREATE USER a IDENTIFIED BY 'a'", 988},
		"quotes that do not end":            {Admin, `CREATE USER a IDENTIFIED BY "a`, 1740},
		"a string that does not end":        {Admin, `ALTER SYSTEM KILL SESSION '1,2`, 1756},
		"a user without a password":         {Admin, "CREATE USER a", 922},
		"CREATE USER without the privilege": {"APP", "CREATE USER a IDENTIFIED BY x", 1031},
		"one's own password":                {"APP", "ALTER USER app IDENTIFIED BY x", 0},
		"somebody else's password":          {"APP", "ALTER USER system IDENTIFIED BY x", 1031},
		"a lock of oneself":                 {"APP", "ALTER USER app ACCOUNT UNLOCK", 1031},
		"ALTER USER of nobody":              {Admin, "ALTER USER nobody ACCOUNT LOCK", 1918},
		"DROP USER of nobody":               {Admin, "DROP USER nobody CASCADE", 1918},
		"DROP USER without CASCADE":         {System, "DROP USER shop", 1922},
		"a role nobody made":                {Admin, "GRANT reader TO app", 1919},
		"a privilege one cannot grant":      {Admin, "GRANT CREATE TABLE TO app", 1031},
		"a table one cannot grant":          {Admin, "GRANT DELETE ON shop.orders TO app", 1031},
		"a table one does not see":          {Admin, "GRANT SELECT ON shop.customers TO app", 942},
		"a synonym of a fixed view":         {System, "GRANT SELECT ON gv$session TO app", 2030},
		"a fixed view":                      {System, "GRANT SELECT ON sys.gv_$session TO app", 0},
		"a grant to nobody":                 {Admin, "GRANT CREATE SESSION TO nobody", 1917},
		"a role one cannot grant":           {Admin, "GRANT CONNECT TO app", 1932},
		"a grant with the wrong option":     {Admin, "GRANT CONNECT TO app WITH GRANT OPTION", 933},
		"a privilege that is not held":      {System, "REVOKE CREATE TABLE FROM app", 1952},
		"a role that is not held":           {System, "REVOKE CONNECT FROM app", 1951},
		"an object that is not held":        {System, "REVOKE SELECT ON shop.customers FROM app", 1927},
		"a privilege that is held":          {Admin, "REVOKE CREATE SESSION FROM app", 0},
	})
}

func TestOtherStatementsAreReadStrictly(t *testing.T) {
	checkStatements(t, map[string]statementCase{
		"a session that is gone":        {Admin, "ALTER SYSTEM KILL SESSION '1,2'", 30},
		"a session that is none":        {Admin, "ALTER SYSTEM KILL SESSION 'x'", 26},
		"another command to the system": {Admin, "ALTER SYSTEM FLUSH", 2065},
		"a table one may read":          {"APP", "SELECT id, note FROM shop.orders WHERE id = 1 AND note <> 'x'", 0},
		"a table one may not write":     {"APP", "INSERT INTO shop.orders VALUES (2, 'x')", 1031},
		"a table one may not see":       {"APP", "SELECT * FROM shop.customers", 942},
		"a view one may not see":        {"APP", "SELECT sid FROM v$session", 942},
		"a column nobody made":          {"APP", "SELECT more FROM shop.orders", 904},
		"too few values":                {Admin, "INSERT INTO shop.orders VALUES (2)", 947},
		"a variable without a value":    {"APP", "SELECT id FROM shop.orders WHERE id = :1", 1008},
		"a table":                       {System, "CREATE TABLE t (id NUMBER, note VARCHAR2(20))", 0},
		"a table without the privilege": {"APP", "CREATE TABLE t (id NUMBER)", 1031},
		"a table of an unknown type":    {System, "CREATE TABLE t (id NUMERAL)", 902},
		"DROP TABLE of nothing":         {System, "DROP TABLE t", 942},
		"a block":                       {Admin, "BEGIN EXECUTE IMMEDIATE 'GRANT RESOURCE TO app'; NULL; END;", 0},
		"a block without a semicolon":   {Admin, "BEGIN NULL; END", 6550},
		"a block that fails":            {Admin, "BEGIN EXECUTE IMMEDIATE q'[GRANT RESOURCE TO nobody]'; END;", 1917},
		"what is not known here":        {Admin, "TRUNCATE TABLE shop.orders", 900},
		"nothing":                       {Admin, " -- nothing", 900},
	})
}

func TestPrivilegesComeAndGoWithRoles(t *testing.T) {
	app := newSession(t, "APP")
	admin := app.database.begin(System, "", func() {})
	steps := []struct {
		by        *session
		statement string
		code      int
	}{
		{admin, "CREATE ROLE reader", 0},
		{admin, "CREATE ROLE reader", 1921},
		{admin, "GRANT SELECT, INSERT ON shop.customers TO reader", 0},
		{app, "SELECT id FROM shop.customers", 942},
		{admin, "GRANT reader TO app", 0},
		{app, "SELECT id FROM shop.customers", 0},
		{app, "INSERT INTO shop.customers VALUES (1, 'x')", 0},
		{admin, "REVOKE INSERT ON shop.customers FROM reader", 0},
		{app, "INSERT INTO shop.customers VALUES (1, 'x')", 1031},
		{admin, "REVOKE reader FROM app", 0},
		{app, "SELECT id FROM shop.customers", 942},
		{admin, "GRANT ALL PRIVILEGES ON shop.customers TO app", 0},
		{app, "INSERT INTO shop.customers VALUES (2, 'x')", 0},
	}
	for _, step := range steps {
		if _, err := step.by.execute(step.statement, nil); codeOf(err) != step.code || err != nil && step.code == 0 {
			t.Fatalf("%s by %s: got %v, want ORA-%05d", step.statement, step.by.user, err, step.code)
		}
	}
}

func TestNumbersAreStoredAsOracleStoresThem(t *testing.T) {
	for value, want := range map[int64]string{0: "\x80", 1: "\xc1\x02", 99: "\xc1\x64", 100: "\xc2\x02", 12345: "\xc3\x02\x18\x2e"} {
		if got := string(encodeNumber(value)); got != want {
			t.Errorf("%d is % x, want % x", value, got, want)
		}
	}
}

func FuzzNoStatementBreaksTheStandIn(f *testing.F) {
	f.Add(`CREATE USER "a" IDENTIFIED BY "b" ACCOUNT LOCK`, "x")
	f.Add("SELECT count(*) FROM gv$session WHERE username = :1", "APP")
	f.Add("BEGIN EXECUTE IMMEDIATE q'[GRANT CONNECT TO app]'; END;", "")
	f.Add("ALTER SYSTEM KILL SESSION '1,2,@1' IMMEDIATE", "")
	d := newDatabase()
	f.Fuzz(func(t *testing.T, statement, bind string) {
		s := d.begin(System, "", func() {})
		if _, err := s.execute(statement, []string{bind}); err != nil && codeOf(err) == 0 {
			t.Errorf("%q: %v is no error of Oracle's", statement, err)
		}
	})
}
