-- The algorithm of vmlab/programs/nbody.vm.

local sqrt, floor = math.sqrt, math.floor

local SOLAR_MASS = 39.47841760435743
local DAYS_PER_YEAR = 365.24

local function body(x, y, z, vx, vy, vz, suns)
  return {
    x = x, y = y, z = z,
    vx = vx * DAYS_PER_YEAR, vy = vy * DAYS_PER_YEAR, vz = vz * DAYS_PER_YEAR,
    mass = suns * SOLAR_MASS,
  }
end

local function make_bodies()
  return {
    body(0, 0, 0, 0, 0, 0, 1),
    body(4.84143144246472090, -1.16032004402742839, -0.103622044471123109,
         1.66007664274403694e-3, 7.69901118419740425e-3, -6.90460016972063023e-5,
         9.54791938424326609e-4),
    body(8.34336671824457987, 4.12479856412430479, -0.403523417114321381,
         -2.76742510726411021e-3, 4.99852801234917238e-3, 2.30417297573763929e-5,
         2.85885980666130812e-4),
    body(12.8943695621391310, -15.1111514016986312, -0.223307578892655734,
         2.96460137564761618e-3, 2.37847173959480950e-3, -2.96589568540237556e-5,
         4.36624404335156298e-5),
    body(15.3796971148509165, -25.9193146099879641, 0.179258772950371181,
         2.68067772490389322e-3, 1.62824170038242295e-3, -9.51592254519715870e-5,
         5.15138902046611451e-5),
  }
end

local function offset_momentum(bodies)
  local sun = bodies[1]
  for i = 2, #bodies do
    local b = bodies[i]
    sun.vx = sun.vx - b.vx * b.mass / SOLAR_MASS
    sun.vy = sun.vy - b.vy * b.mass / SOLAR_MASS
    sun.vz = sun.vz - b.vz * b.mass / SOLAR_MASS
  end
end

local function energy(bodies)
  local e = 0.0
  for i, a in ipairs(bodies) do
    e = e + 0.5 * a.mass * (a.vx * a.vx + a.vy * a.vy + a.vz * a.vz)
    for j = i + 1, #bodies do
      local b = bodies[j]
      local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
      e = e - a.mass * b.mass / sqrt(dx * dx + dy * dy + dz * dz)
    end
  end
  return e
end

local function advance(bodies, count, dt)
  for i = 1, count do
    local a = bodies[i]
    local ax, ay, az, mass = a.x, a.y, a.z, a.mass
    local vx, vy, vz = a.vx, a.vy, a.vz
    for j = i + 1, count do
      local b = bodies[j]
      local dx, dy, dz = ax - b.x, ay - b.y, az - b.z
      local square = dx * dx + dy * dy + dz * dz
      local pull = dt / (square * sqrt(square))
      local other = b.mass
      vx = vx - dx * other * pull
      vy = vy - dy * other * pull
      vz = vz - dz * other * pull
      b.vx = b.vx + dx * mass * pull
      b.vy = b.vy + dy * mass * pull
      b.vz = b.vz + dz * mass * pull
    end
    a.vx, a.vy, a.vz = vx, vy, vz
  end
  for i = 1, count do
    local a = bodies[i]
    a.x = a.x + dt * a.vx
    a.y = a.y + dt * a.vy
    a.z = a.z + dt * a.vz
  end
end

return function(n)
  local bodies = make_bodies()
  offset_momentum(bodies)
  local count = #bodies
  for _ = 1, n do
    advance(bodies, count, 0.01)
  end
  return floor(energy(bodies) * 1e9 + 0.5) / 1e9
end
