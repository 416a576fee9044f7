package command

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/keys"
	"github.com/sluice-gateway/sluice/internal/meter"
	"github.com/sluice-gateway/sluice/internal/meter/journal"
	"github.com/sluice-gateway/sluice/internal/meter/ledger"
	"github.com/sluice-gateway/sluice/internal/meter/redis"
	"github.com/sluice-gateway/sluice/internal/meter/redis/acts"
	"github.com/sluice-gateway/sluice/internal/reconcile"
)

// JournalDir is where the gateway of a configuration writes its records.
func JournalDir(cfg *config.Config) journal.Dir {
	return journalIn(cfg.DataDir)
}

func journalIn(dataDir string) journal.Dir { return journal.Dir(filepath.Join(dataDir, "journal")) }

// CorrectionsDir is the journal of what commands resolve and adjust.
func CorrectionsDir(cfg *config.Config) journal.Dir {
	return journal.Dir(filepath.Join(cfg.DataDir, "corrections"))
}

// Corrected returns CorrectionsDir and whether anything was ever corrected.
func Corrected(cfg *config.Config) (dir journal.Dir, ever bool) {
	dir = CorrectionsDir(cfg)
	_, err := os.Stat(string(dir))
	return dir, err == nil
}

// ClosingsFile is where the months are noted that were closed of an embedded ledger.
func ClosingsFile(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "closings") }

// JobsFile is where an embedded ledger keeps who started which job.
func JobsFile(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "jobs") }

// ReconciledDir is where comparisons with bills are kept.
func ReconciledDir(cfg *config.Config) reconcile.Dir {
	return reconcile.Dir(filepath.Join(cfg.DataDir, "reconciled"))
}

// MeterOptions is how a command meters: into the journal and ledger of a
// configuration, without a log.
func MeterOptions(cfg *config.Config, store ledger.Ledger) meter.Options {
	fsync := map[string]journal.Fsync{"always": journal.FsyncAlways, "os": journal.FsyncOS}[cfg.Journal.Fsync]
	return meter.Options{
		Disk:    JournalDir(cfg),
		Journal: journal.Options{Fsync: fsync, Every: cfg.Journal.Every, SegmentBytes: cfg.Journal.SegmentBytes},
		Keep:    cfg.Journal.Keep, Ledger: store, Now: time.Now, Log: quiet(),
	}
}

// OpenRedis opens the shared ledger of a configuration; the caller closes it.
func OpenRedis(cfg *config.Config) (*redis.Ledger, error) {
	return OpenRedisWith(cfg, redis.Options{Log: quiet(), Now: time.Now})
}

// OpenRedisWith is OpenRedis with other options than those of a command. It sets
// their URL.
func OpenRedisWith(cfg *config.Config, o redis.Options) (*redis.Ledger, error) {
	o.URL = cfg.Ledger.Redis
	ledger, err := redis.New(o)
	if err != nil {
		return nil, Invalidf("%s: ledger.redis: %w", cfg.At("ledger.redis").File, err)
	}
	return ledger, nil
}

// CarryKeys gives a shared ledger the acts on keys that a data directory has and it has
// not, and returns how many there are. It needs no root secret: what a gateway has kept,
// it has checked.
func CarryKeys(ctx context.Context, dataDir string, to *redis.Ledger) (int, error) {
	book, err := keys.Open(keys.Options{DataDir: dataDir, Sealer: keys.Nobody{}, Log: quiet(), Now: time.Now})
	if err != nil {
		return 0, err
	}
	book.Join(acts.NewBoard(to), func() time.Duration { return 0 })
	err = book.Refresh(ctx)
	return book.Len(), errors.Join(err, book.Close(ctx))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
