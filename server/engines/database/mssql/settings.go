package mssql

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/microsoft/go-mssqldb/msdsn"

	"github.com/novatech/securevault/server/engines/database/details"
	"github.com/novatech/securevault/server/engines/database/fault"
	"github.com/novatech/securevault/server/engines/database/nearest"
)

const (
	// maxNameBytes is SQL Server's sysname: 128 characters. Our names are ASCII.
	maxNameBytes = 128

	defaultUsernameTemplate = `{{printf "v-%s-%s-%s-%s" (.DisplayName | truncate 20) (.RoleName | truncate 20) (random 20) (unix_time) | truncate 128}}`

	defaultPort = 1433
)

// settings are the connection details of a configuration.
type settings struct {
	details.Common `mapstructure:",squash"`
	details.Pool   `mapstructure:",squash"`

	Contained bool `mapstructure:"contained_db"`
}

const exampleURL = "sqlserver://{{username}}:{{password}}@HOST:1433?database=DATABASE"

func decodeSettings(given map[string]any) (settings, error) {
	var decoded settings
	if err := details.Decode("mssql-database-plugin", given, &decoded); err != nil {
		return settings{}, err
	}
	if err := decoded.Check(exampleURL); err != nil {
		return settings{}, err
	}
	decoded.UsernameTemplate = cmp.Or(decoded.UsernameTemplate, defaultUsernameTemplate)
	return decoded, nil
}

// target returns where to connect and how.
func (s settings) target() (msdsn.Config, error) {
	target, err := msdsn.Parse(s.ParsableURL())
	if err != nil || target.Parameters[msdsn.Server] == "" {
		// The parser's message may repeat a literal password.
		return msdsn.Config{}, fault.New(fault.Refused, "connection_url cannot be parsed: write "+exampleURL+"&encrypt=true or server=HOST;port=1433;user id={{username}};password={{password}};database=DATABASE")
	}
	for _, parameter := range slices.Sorted(maps.Keys(target.Parameters)) {
		if !slices.Contains(parameters, parameter) {
			return msdsn.Config{}, fault.New(fault.Refused, "connection_url has the unknown parameter %q%s: use some of %s", parameter, nearest.Hint(parameter, parameters), strings.Join(parameters, ", "))
		}
	}
	target.User = s.Fill(target.User)
	target.Password = s.FillPassword(target.Password)
	target.Database = s.Fill(target.Database)
	if _, given := target.Parameters[msdsn.AppName]; !given {
		target.AppName = ""
	}
	target.LogFlags = 0 // the driver's log would hold statements, and so passwords
	return target, nil
}

// parameters are those of the driver, except for what would change the admin's
// password, log statements or log in otherwise than by name and password.
var parameters = []string{
	msdsn.AppName, msdsn.ApplicationIntent, msdsn.Certificate, msdsn.ConnectionTimeout, msdsn.Database, msdsn.DialTimeout,
	msdsn.DisableRetry, msdsn.Encrypt, msdsn.FailoverPartner, msdsn.FailOverPort, msdsn.HostNameInCertificate, msdsn.KeepAlive,
	msdsn.MultiSubnetFailover, msdsn.NoTraceID, msdsn.PacketSize, msdsn.Password, msdsn.Port, msdsn.Protocol, msdsn.Server,
	msdsn.ServerCertificate, msdsn.TLSMin, msdsn.TrustServerCertificate, msdsn.UserID, msdsn.WorkstationID,
}

// describe names the target in errors.
func describe(target msdsn.Config) string {
	host := fmt.Sprintf("%s:%d", target.Host, cmp.Or(target.Port, defaultPort))
	if target.Instance != "" && target.Port == 0 {
		host = target.Host + `\` + target.Instance
	}
	return fmt.Sprintf("%s, database %q, as %q", host, target.Database, target.User)
}
