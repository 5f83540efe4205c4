;; The algorithm of vmlab/programs/nbody.vm. A body takes 56 bytes: x, y, z, vx, vy, vz and mass.

(module
  (memory 1)

  (func $body
      (param $at i32)
      (param $x f64) (param $y f64) (param $z f64)
      (param $vx f64) (param $vy f64) (param $vz f64)
      (param $suns f64)
    (f64.store (local.get $at) (local.get $x))
    (f64.store offset=8 (local.get $at) (local.get $y))
    (f64.store offset=16 (local.get $at) (local.get $z))
    (f64.store offset=24 (local.get $at) (f64.mul (local.get $vx) (f64.const 365.24)))
    (f64.store offset=32 (local.get $at) (f64.mul (local.get $vy) (f64.const 365.24)))
    (f64.store offset=40 (local.get $at) (f64.mul (local.get $vz) (f64.const 365.24)))
    (f64.store offset=48
      (local.get $at)
      (f64.mul (local.get $suns) (f64.const 39.47841760435743))))

  (func $make_bodies
    (call $body (i32.const 0)
      (f64.const 0) (f64.const 0) (f64.const 0)
      (f64.const 0) (f64.const 0) (f64.const 0)
      (f64.const 1))
    (call $body (i32.const 56)
      (f64.const 4.84143144246472090)
      (f64.const -1.16032004402742839)
      (f64.const -0.103622044471123109)
      (f64.const 1.66007664274403694e-3)
      (f64.const 7.69901118419740425e-3)
      (f64.const -6.90460016972063023e-5)
      (f64.const 9.54791938424326609e-4))
    (call $body (i32.const 112)
      (f64.const 8.34336671824457987)
      (f64.const 4.12479856412430479)
      (f64.const -0.403523417114321381)
      (f64.const -2.76742510726411021e-3)
      (f64.const 4.99852801234917238e-3)
      (f64.const 2.30417297573763929e-5)
      (f64.const 2.85885980666130812e-4))
    (call $body (i32.const 168)
      (f64.const 12.8943695621391310)
      (f64.const -15.1111514016986312)
      (f64.const -0.223307578892655734)
      (f64.const 2.96460137564761618e-3)
      (f64.const 2.37847173959480950e-3)
      (f64.const -2.96589568540237556e-5)
      (f64.const 4.36624404335156298e-5))
    (call $body (i32.const 224)
      (f64.const 15.3796971148509165)
      (f64.const -25.9193146099879641)
      (f64.const 0.179258772950371181)
      (f64.const 2.68067772490389322e-3)
      (f64.const 1.62824170038242295e-3)
      (f64.const -9.51592254519715870e-5)
      (f64.const 5.15138902046611451e-5)))

  ;; Takes the momentum of body $b off the sun's.
  (func $offset (param $b i32)
    (local $mass f64)
    (local.set $mass (f64.load offset=48 (local.get $b)))
    (f64.store offset=24 (i32.const 0)
      (f64.sub
        (f64.load offset=24 (i32.const 0))
        (f64.div
          (f64.mul (f64.load offset=24 (local.get $b)) (local.get $mass))
          (f64.const 39.47841760435743))))
    (f64.store offset=32 (i32.const 0)
      (f64.sub
        (f64.load offset=32 (i32.const 0))
        (f64.div
          (f64.mul (f64.load offset=32 (local.get $b)) (local.get $mass))
          (f64.const 39.47841760435743))))
    (f64.store offset=40 (i32.const 0)
      (f64.sub
        (f64.load offset=40 (i32.const 0))
        (f64.div
          (f64.mul (f64.load offset=40 (local.get $b)) (local.get $mass))
          (f64.const 39.47841760435743)))))

  (func $square (param $x f64) (param $y f64) (param $z f64) (result f64)
    (f64.add
      (f64.add
        (f64.mul (local.get $x) (local.get $x))
        (f64.mul (local.get $y) (local.get $y)))
      (f64.mul (local.get $z) (local.get $z))))

  (func $energy (result f64)
    (local $a i32) (local $b i32) (local $e f64)
    (loop $bodies
      (local.set $e
        (f64.add
          (local.get $e)
          (f64.mul
            (f64.mul (f64.const 0.5) (f64.load offset=48 (local.get $a)))
            (call $square
              (f64.load offset=24 (local.get $a))
              (f64.load offset=32 (local.get $a))
              (f64.load offset=40 (local.get $a))))))
      (local.set $b (i32.add (local.get $a) (i32.const 56)))
      (block $pairs_done
        (br_if $pairs_done (i32.eq (local.get $b) (i32.const 280)))
        (loop $pairs
          (local.set $e
            (f64.sub
              (local.get $e)
              (f64.div
                (f64.mul
                  (f64.load offset=48 (local.get $a))
                  (f64.load offset=48 (local.get $b)))
                (f64.sqrt
                  (call $square
                    (f64.sub (f64.load (local.get $a)) (f64.load (local.get $b)))
                    (f64.sub
                      (f64.load offset=8 (local.get $a))
                      (f64.load offset=8 (local.get $b)))
                    (f64.sub
                      (f64.load offset=16 (local.get $a))
                      (f64.load offset=16 (local.get $b))))))))
          (br_if $pairs
            (i32.ne
              (local.tee $b (i32.add (local.get $b) (i32.const 56)))
              (i32.const 280)))))
      (br_if $bodies
        (i32.ne
          (local.tee $a (i32.add (local.get $a) (i32.const 56)))
          (i32.const 280))))
    (local.get $e))

  (func $advance (param $dt f64)
    (local $a i32) (local $b i32)
    (local $x f64) (local $y f64) (local $z f64)
    (local $vx f64) (local $vy f64) (local $vz f64)
    (local $dx f64) (local $dy f64) (local $dz f64)
    (local $square f64) (local $pull f64) (local $mass f64) (local $by f64)
    (loop $bodies
      (local.set $x (f64.load (local.get $a)))
      (local.set $y (f64.load offset=8 (local.get $a)))
      (local.set $z (f64.load offset=16 (local.get $a)))
      (local.set $vx (f64.load offset=24 (local.get $a)))
      (local.set $vy (f64.load offset=32 (local.get $a)))
      (local.set $vz (f64.load offset=40 (local.get $a)))
      (local.set $mass (f64.load offset=48 (local.get $a)))
      (local.set $b (i32.add (local.get $a) (i32.const 56)))
      (loop $pairs
        (local.set $dx (f64.sub (local.get $x) (f64.load (local.get $b))))
        (local.set $dy (f64.sub (local.get $y) (f64.load offset=8 (local.get $b))))
        (local.set $dz (f64.sub (local.get $z) (f64.load offset=16 (local.get $b))))
        (local.set $square
          (f64.add
            (f64.add
              (f64.mul (local.get $dx) (local.get $dx))
              (f64.mul (local.get $dy) (local.get $dy)))
            (f64.mul (local.get $dz) (local.get $dz))))
        (local.set $pull
          (f64.div
            (local.get $dt)
            (f64.mul (local.get $square) (f64.sqrt (local.get $square)))))
        (local.set $by (f64.load offset=48 (local.get $b)))
        (local.set $vx
          (f64.sub
            (local.get $vx)
            (f64.mul (f64.mul (local.get $dx) (local.get $by)) (local.get $pull))))
        (local.set $vy
          (f64.sub
            (local.get $vy)
            (f64.mul (f64.mul (local.get $dy) (local.get $by)) (local.get $pull))))
        (local.set $vz
          (f64.sub
            (local.get $vz)
            (f64.mul (f64.mul (local.get $dz) (local.get $by)) (local.get $pull))))
        (f64.store offset=24
          (local.get $b)
          (f64.add
            (f64.load offset=24 (local.get $b))
            (f64.mul (f64.mul (local.get $dx) (local.get $mass)) (local.get $pull))))
        (f64.store offset=32
          (local.get $b)
          (f64.add
            (f64.load offset=32 (local.get $b))
            (f64.mul (f64.mul (local.get $dy) (local.get $mass)) (local.get $pull))))
        (f64.store offset=40
          (local.get $b)
          (f64.add
            (f64.load offset=40 (local.get $b))
            (f64.mul (f64.mul (local.get $dz) (local.get $mass)) (local.get $pull))))
        (br_if $pairs
          (i32.ne
            (local.tee $b (i32.add (local.get $b) (i32.const 56)))
            (i32.const 280))))
      (f64.store offset=24 (local.get $a) (local.get $vx))
      (f64.store offset=32 (local.get $a) (local.get $vy))
      (f64.store offset=40 (local.get $a) (local.get $vz))
      ;; The last has no partner left.
      (br_if $bodies
        (i32.ne
          (local.tee $a (i32.add (local.get $a) (i32.const 56)))
          (i32.const 224))))
    (local.set $a (i32.const 0))
    (loop $moves
      (f64.store
        (local.get $a)
        (f64.add
          (f64.load (local.get $a))
          (f64.mul (local.get $dt) (f64.load offset=24 (local.get $a)))))
      (f64.store offset=8
        (local.get $a)
        (f64.add
          (f64.load offset=8 (local.get $a))
          (f64.mul (local.get $dt) (f64.load offset=32 (local.get $a)))))
      (f64.store offset=16
        (local.get $a)
        (f64.add
          (f64.load offset=16 (local.get $a))
          (f64.mul (local.get $dt) (f64.load offset=40 (local.get $a)))))
      (br_if $moves
        (i32.ne
          (local.tee $a (i32.add (local.get $a) (i32.const 56)))
          (i32.const 280)))))

  (func (export "main") (param $n i64) (result f64)
    (call $make_bodies)
    (call $offset (i32.const 56))
    (call $offset (i32.const 112))
    (call $offset (i32.const 168))
    (call $offset (i32.const 224))
    (block $done
      (br_if $done (i64.le_s (local.get $n) (i64.const 0)))
      (loop $steps
        (call $advance (f64.const 0.01))
        (br_if $steps
          (i64.ne
            (local.tee $n (i64.sub (local.get $n) (i64.const 1)))
            (i64.const 0)))))
    (f64.div
      (f64.floor
        (f64.add (f64.mul (call $energy) (f64.const 1e9)) (f64.const 0.5)))
      (f64.const 1e9))))
