package config

// Changed returns the keys that differ and need a restart, in the order of the
// documentation. A reload applies everything else.
func Changed(old, new *Config) []string {
	var keys []string
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{"listen", old.Listen != new.Listen},
		{"admin.listen", old.Admin.Listen != new.Admin.Listen},
		{"data_dir", old.DataDir != new.DataDir},
		{"journal", old.Journal != new.Journal},
		{"ledger", old.Ledger != new.Ledger},
		{"telemetry.access_log", old.Telemetry.AccessLog != new.Telemetry.AccessLog},
	} {
		if k.differs {
			keys = append(keys, k.name)
		}
	}
	return keys
}
