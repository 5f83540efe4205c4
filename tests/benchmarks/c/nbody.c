/* The algorithm of vmlab/programs/nbody.vm. */
#include <math.h>
#include <stdint.h>

#define BODIES 5
#define SOLAR_MASS 39.47841760435743
#define DAYS_PER_YEAR 365.24

static double x[BODIES], y[BODIES], z[BODIES];
static double vx[BODIES], vy[BODIES], vz[BODIES];
static double mass[BODIES];

static void body(int i, double px, double py, double pz, double dx, double dy, double dz,
                 double suns)
{
    x[i] = px;
    y[i] = py;
    z[i] = pz;
    vx[i] = dx * DAYS_PER_YEAR;
    vy[i] = dy * DAYS_PER_YEAR;
    vz[i] = dz * DAYS_PER_YEAR;
    mass[i] = suns * SOLAR_MASS;
}

static void make_bodies(void)
{
    body(0, 0, 0, 0, 0, 0, 0, 1);
    body(1, 4.84143144246472090, -1.16032004402742839, -0.103622044471123109,
         1.66007664274403694e-3, 7.69901118419740425e-3, -6.90460016972063023e-5,
         9.54791938424326609e-4);
    body(2, 8.34336671824457987, 4.12479856412430479, -0.403523417114321381,
         -2.76742510726411021e-3, 4.99852801234917238e-3, 2.30417297573763929e-5,
         2.85885980666130812e-4);
    body(3, 12.8943695621391310, -15.1111514016986312, -0.223307578892655734,
         2.96460137564761618e-3, 2.37847173959480950e-3, -2.96589568540237556e-5,
         4.36624404335156298e-5);
    body(4, 15.3796971148509165, -25.9193146099879641, 0.179258772950371181,
         2.68067772490389322e-3, 1.62824170038242295e-3, -9.51592254519715870e-5,
         5.15138902046611451e-5);
}

static void offset_momentum(void)
{
    for (int i = 1; i < BODIES; i++) {
        vx[0] -= vx[i] * mass[i] / SOLAR_MASS;
        vy[0] -= vy[i] * mass[i] / SOLAR_MASS;
        vz[0] -= vz[i] * mass[i] / SOLAR_MASS;
    }
}

static double energy(void)
{
    double e = 0;
    for (int i = 0; i < BODIES; i++) {
        e += 0.5 * mass[i] * (vx[i] * vx[i] + vy[i] * vy[i] + vz[i] * vz[i]);
        for (int j = i + 1; j < BODIES; j++) {
            double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
            e -= mass[i] * mass[j] / sqrt(dx * dx + dy * dy + dz * dz);
        }
    }
    return e;
}

static void advance(double dt)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double dx = x[i] - x[j], dy = y[i] - y[j], dz = z[i] - z[j];
            double square = dx * dx + dy * dy + dz * dz;
            double pull = dt / (square * sqrt(square));
            vx[i] -= dx * mass[j] * pull;
            vy[i] -= dy * mass[j] * pull;
            vz[i] -= dz * mass[j] * pull;
            vx[j] += dx * mass[i] * pull;
            vy[j] += dy * mass[i] * pull;
            vz[j] += dz * mass[i] * pull;
        }
    for (int i = 0; i < BODIES; i++) {
        x[i] += dt * vx[i];
        y[i] += dt * vy[i];
        z[i] += dt * vz[i];
    }
}

double vm_main(int64_t n)
{
    make_bodies();
    offset_momentum();
    for (int64_t i = 0; i < n; i++)
        advance(0.01);
    return floor(energy() * 1e9 + 0.5) / 1e9;
}
