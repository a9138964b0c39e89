package mongodb

import (
	"context"
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/database/dbplugin/v5"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/novatech/securevault/server/engines/database/certificate"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/username"
)

func TestTheAdminsNameAndPasswordReachTheDriverUnescaped(t *testing.T) {
	const hostile = `p@ss:w/rd?'"\%41 {{username}}#&w=0`
	cases := map[string]struct{ url, password, source string }{
		"the guide's":          {"mongodb://{{username}}:{{password}}@db.example:27017/admin", hostile, "admin"},
		"a database":           {"mongodb://{{username}}:{{password}}@db.example:27017/shop", hostile, "shop"},
		"a source":             {"mongodb://{{username}}:{{password}}@db.example:27017/shop?authSource=users", hostile, "users"},
		"no database":          {"mongodb://{{username}}:{{password}}@db.example:27017", hostile, "admin"},
		"several members":      {"mongodb://{{username}}:{{password}}@db.example:27017,other.example:27018/?replicaSet=rs0", hostile, "admin"},
		"a literal password":   {"mongodb://odd%27admin:literal@db.example:27017/admin", "literal", "admin"},
		"an explicit SCRAM":    {"mongodb://{{username}}:{{password}}@db.example:27017/?authMechanism=SCRAM-SHA-256", hostile, "admin"},
		"TLS asked for by URL": {"mongodb://{{username}}:{{password}}@db.example:27017/?tls=true", hostile, "admin"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			decoded, err := decodeSettings(map[string]any{"connection_url": test.url, "username": "odd'admin", "password": hostile})
			if err != nil {
				t.Fatal(err)
			}
			target, err := decoded.clientOptions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if login := target.Auth; login.Username != "odd'admin" || login.Password != test.password || login.AuthSource != test.source || target.Hosts[0] != "db.example:27017" {
				t.Errorf("got user %q, password %q of %q at %v", login.Username, login.Password, login.AuthSource, target.Hosts)
			}
		})
	}
}

func TestWaitingIsBoundedUnlessTheURLSaysHow(t *testing.T) {
	for name, test := range map[string]struct {
		details      map[string]any
		dial, search time.Duration
		pool         uint64
		app          string
	}{
		"nothing said": {map[string]any{"connection_url": "mongodb://a.example/"}, dialLimit, searchLimit, 8, "securevault "},
		"all by the URL": {map[string]any{"max_open_connections": 3,
			"connection_url": "mongodb://a.example/?connectTimeoutMS=1000&serverSelectionTimeoutMS=2000&maxPoolSize=5&appName=shop"}, time.Second, 2 * time.Second, 5, "shop "},
		"a pool by the fields": {map[string]any{"connection_url": "mongodb://a.example/", "max_open_connections": "3"}, dialLimit, searchLimit, 3, "securevault "},
	} {
		t.Run(name, func(t *testing.T) {
			decoded, err := decodeSettings(test.details)
			if err != nil {
				t.Fatal(err)
			}
			target, err := decoded.clientOptions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if *target.ConnectTimeout != test.dial || *target.ServerSelectionTimeout != test.search || *target.MaxPoolSize != test.pool || !strings.HasPrefix(*target.AppName, test.app) {
				t.Errorf("got %s to dial, %s to search, %d connections of %q", *target.ConnectTimeout, *target.ServerSelectionTimeout, *target.MaxPoolSize, *target.AppName)
			}
		})
	}
}

func TestSettingsThatCannotWorkAreRefusedWithAHint(t *testing.T) {
	const secret = "literal-secret"
	cases := map[string]struct {
		details map[string]any
		says    string
	}{
		"no URL":                  {map[string]any{}, "write connection_url=mongodb://"},
		"another scheme":          {map[string]any{"connection_url": "postgresql://a:" + secret + "@b/c"}, "cannot be parsed"},
		"a password not escaped":  {map[string]any{"connection_url": "mongodb://a:" + secret + "/@b:27017/admin"}, "cannot be parsed"},
		"an unknown option":       {map[string]any{"connection_url": "mongodb://a:" + secret + "@b/?replicaset=rs0&authsource1=a"}, `did you mean "authSource"?`},
		"direct to two":           {map[string]any{"connection_url": "mongodb://a.example,b.example/?directConnection=true"}, "cannot be parsed"},
		"an authority in no PEM":  {map[string]any{"connection_url": "mongodb://a.example/", "tls_ca": secret}, "tls_ca holds no certificate"},
		"a certificate in no PEM": {map[string]any{"connection_url": "mongodb://a.example/", "tls_certificate_key": secret}, "tls_certificate_key is no certificate"},
		"X.509 without a certificate": {map[string]any{"connection_url": "mongodb://a.example/?authMechanism=MONGODB-X509&tls=true"},
			"write tls_certificate_key=@client.pem"},
		"an unknown field": {map[string]any{"connection_url": "mongodb://a.example/", "tls_cert": secret}, `did you mean "tls_ca"?`},
		"a lifetime":       {map[string]any{"connection_url": "mongodb://a.example/", "max_connection_lifetime": "soon"}, "max_connection_lifetime"},
		"servers that nobody knows": {map[string]any{"connection_url": "mongodb+srv://a:" + secret + "@securevault.invalid/admin"},
			"check the host name in connection_url"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := New().Initialize(ctx, dbplugin.InitializeRequest{Config: test.details})
			if err == nil || fault.ClassOf(err) == fault.Unknown || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
}

func TestWriteConcernsAreReadAsOperatorsWriteThem(t *testing.T) {
	cases := map[string]struct {
		text string
		want *writeConcern
		says string
	}{
		"nothing":              {"", nil, ""},
		"a mode":               {`{"wmode": "majority", "wtimeout": 5000}`, &writeConcern{Members: "majority", Timeout: 5000}, ""},
		"in base64":            {base64.StdEncoding.EncodeToString([]byte(`{"w": 2, "j": true}`)), &writeConcern{Members: int32(2), Journal: true}, ""},
		"a mode as w":          {`{"w": "majority"}`, &writeConcern{Members: "majority"}, ""},
		"mgo's fsync":          {`{"fsync": true}`, &writeConcern{Journal: true}, ""},
		"no confirmation":      {`{"w": 0}`, nil, "w=1 or more"},
		"an unknown field":     {`{"wtimout": 1}`, nil, `did you mean "wtimeout"?`},
		"a wrong type":         {`{"wtimeout": "soon"}`, nil, "wrong type"},
		"a list of members":    {`{"w": [1]}`, nil, "wrong type"},
		"a negative time":      {`{"wtimeout": -1}`, nil, "wrong type"},
		"no JSON":              {`majority!`, nil, "no JSON object"},
		"a mode beside number": {`{"w": 1, "wmode": "dc"}`, &writeConcern{Members: "dc"}, ""},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseWriteConcern(test.text)
			if (err == nil) != (test.says == "") || err != nil && (!strings.Contains(err.Error(), test.says) || fault.ClassOf(err) != fault.Refused) {
				t.Fatalf("got error %v, want %q", err, test.says)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestCreationStatementsSayWhereAndWhat(t *testing.T) {
	mine := []role{{"readWrite", "mydb"}}
	cases := map[string]struct {
		statements []string
		want       plan
		says       string
	}{
		"the guide's":             {[]string{`{"db": "mydb", "roles": [{"role": "readWrite"}]}`}, plan{"mydb", mine}, ""},
		"a role as text":          {[]string{`{"db": "mydb", "roles": ["readWrite"]}`}, plan{"mydb", mine}, ""},
		"a role elsewhere":        {[]string{`{"roles": [{"role": "readWrite", "db": "mydb"}]}`}, plan{"admin", mine}, ""},
		"an empty database":       {[]string{`{"db": "", "roles": ["read"]}`}, plan{"admin", []role{{"read", "admin"}}}, ""},
		"a database of one's own": {[]string{`{"db": "{{name}}", "roles": ["read"]}`}, plan{"v-app", []role{{"read", "v-app"}}}, ""},
		"an empty one beside it":  {[]string{` `, `{"db": "mydb", "roles": ["readWrite"]}`}, plan{"mydb", mine}, ""},
		"none":                    {nil, plan{}, "creation_statements is empty: write JSON"},
		"two":                     {[]string{`{"roles": ["read"]}`, `{"roles": ["write"]}`}, plan{}, "takes one"},
		"no JSON":                 {[]string{`CREATE ROLE "a"`}, plan{}, "no JSON object"},
		"a list":                  {[]string{`["read"]`}, plan{}, "no JSON object"},
		"more behind it":          {[]string{`{"roles": ["read"]} {}`}, plan{}, "no JSON object"},
		"no roles":                {[]string{`{"db": "mydb"}`}, plan{}, "names no roles"},
		"null":                    {[]string{`null`}, plan{}, "names no roles"},
		"an empty list":           {[]string{`{"roles": []}`}, plan{}, "names no roles"},
		"a nameless role":         {[]string{`{"roles": [{"db": "mydb"}]}`}, plan{}, "without a name"},
		"an unknown field":        {[]string{`{"database": "mydb", "roles": ["read"]}`}, plan{}, `unknown field "database"`},
		"a mistyped field":        {[]string{`{"db": "mydb", "rolls": ["read"]}`}, plan{}, `did you mean "roles"?`},
		"a role's unknown field":  {[]string{`{"roles": [{"name": "read"}]}`}, plan{}, `unknown field "name"`},
		"a number for a database": {[]string{`{"db": 1, "roles": ["read"]}`}, plan{}, `"db" is no text`},
		"a number for a role":     {[]string{`{"roles": [1]}`}, plan{}, "no JSON object"},
		"an unknown placeholder":  {[]string{`{"db": "{{nmae}}", "roles": ["read"]}`}, plan{}, "unknown placeholder {{nmae}}"},
		"a role of certificates":  {[]string{`{"db": "$external", "roles": ["read"]}`}, plan{}, "there are no roles in $external"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := parseCreation(dbplugin.Statements{Commands: test.statements}, "v-app", adminDatabase)
			if (err == nil) != (test.says == "") || err != nil && (!strings.Contains(err.Error(), test.says) || fault.ClassOf(err) != fault.Refused) {
				t.Fatalf("got error %v, want %q", err, test.says)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// FuzzParseCreation looks for statements that break the reader, or give a user
// without a database or with roles that have no name or place.
func FuzzParseCreation(f *testing.F) {
	for _, text := range []string{
		`{"db": "mydb", "roles": [{"role": "readWrite"}]}`, `{"roles": ["read", {"role": "read", "db": "other"}]}`,
		`{"db": "{{name}}", "roles": ["{{username}}"]}`, `{"db": "$external", "roles": [{"role": "read", "db": "a"}]}`, `null`, `[[[`,
	} {
		f.Add(text, "v-app-1")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		said, err := parseCreation(dbplugin.Statements{Commands: []string{text}}, name, adminDatabase)
		if err != nil {
			if fault.ClassOf(err) != fault.Refused {
				t.Errorf("class %d of %v", fault.ClassOf(err), err)
			}
			return
		}
		if said.database == "" || len(said.roles) == 0 {
			t.Errorf("%q gives %+v", text, said)
		}
		for _, given := range said.roles {
			if given.Name == "" || given.Database == "" || given.Database == external {
				t.Errorf("%q gives the role %+v", text, given)
			}
		}
	})
}

func TestErrorsSayWhatToDoAndNoPassword(t *testing.T) {
	database := &Database{password: "admin-secret"}
	const issued = "A1b-issued-secret"
	cases := map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"a wrong admin password":   {mongo.CommandError{Code: 18, Message: "Authentication failed."}, fault.Later, "check username and password"},
		"a missing privilege":      {mongo.CommandError{Code: 13, Message: "not authorized"}, fault.Refused, "userAdminAnyDatabase"},
		"an unknown role":          {mongo.CommandError{Code: 31, Message: "Could not find role"}, fault.Refused, "correct the role's name"},
		"a name that is taken":     {mongo.CommandError{Code: 51003, Message: "already exists"}, fault.Refused, "{{random 12}}"},
		"Atlas":                    {mongo.CommandError{Code: 8000, Message: "unsupported"}, fault.Refused, "an API of its own"},
		"a secondary":              {mongo.CommandError{Code: 10107, Message: "not primary"}, fault.Later, "replicaSet"},
		"a server that failed":     {mongo.CommandError{Code: 1, Message: "internal error"}, fault.Later, "not well"},
		"a server that stops":      {mongo.CommandError{Code: 91, Message: "in shutdown"}, fault.Later, "try again"},
		"a password in the text":   {mongo.CommandError{Code: 2, Message: "pwd: " + issued}, fault.Refused, "check the statements"},
		"members that do not know": {mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64, Message: "timed out"}}, fault.Later, "timed out"},
		"a broken connection":      {mongo.CommandError{Message: "broken pipe admin-secret", Labels: []string{"NetworkError"}}, fault.Later, "connection to the server broke"},
		"a search":                 {errors.New("server selection error: { Last error: dial tcp: connect: connection refused }, ] }"), fault.Later, "check that the server runs"},
		"a certificate":            {errors.New("Last error: x509: certificate signed by unknown authority }"), fault.Later, "tls_ca"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			err := database.explain(test.err, "making a user", issued)
			if got := fault.ClassOf(err); got != test.class {
				t.Errorf("class is %d, want %d", got, test.class)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %q does not say %q", err, test.says)
			}
			for _, secret := range []string{issued, "admin-secret"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives %q away", err, secret)
				}
			}
		})
	}
}

func TestADefaultNameFitsIntoACertificate(t *testing.T) {
	names, err := username.New(defaultUsernameTemplate, maxNameBytes)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a.b", 20)
	name, err := names.NewUsername(dbplugin.UsernameMetadata{DisplayName: long, RoleName: long})
	if err != nil || len(name) > certificate.MaxName || strings.Contains(name, ".") || !strings.HasPrefix(name, "v-a-ba-ba") {
		t.Errorf("got %q of %d bytes, %v", name, len(name), err)
	}
}

func TestAnUninitializedDatabaseRefusesAndCloses(t *testing.T) {
	database := New()
	creation := dbplugin.Statements{Commands: []string{`{"roles": ["read"]}`}}
	_, made := database.NewUser(t.Context(), dbplugin.NewUserRequest{Statements: creation})
	_, ended := database.DeleteUser(t.Context(), dbplugin.DeleteUserRequest{Username: "a"})
	for _, err := range []error{made, ended} {
		if fault.ClassOf(err) != fault.Refused {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	if err := database.Close(); err != nil {
		t.Error(err)
	}
}
