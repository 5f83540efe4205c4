;; The algorithm of vmlab/programs/queens.vm.

(module
  (func $place
      (param $all i64) (param $columns i64) (param $left i64) (param $right i64) (result i64)
    (local $free i64) (local $bit i64) (local $ways i64)
    (if (i64.eq (local.get $columns) (local.get $all))
      (then (return (i64.const 1))))
    (local.set $free
      (i64.and
        (local.get $all)
        (i64.xor
          (i64.or (i64.or (local.get $columns) (local.get $left)) (local.get $right))
          (i64.const -1))))
    (block $done
      (br_if $done (i64.eqz (local.get $free)))
      (loop $queens
        (local.set $bit
          (i64.and (local.get $free) (i64.sub (i64.const 0) (local.get $free))))
        (local.set $ways
          (i64.add
            (local.get $ways)
            (call $place
              (local.get $all)
              (i64.or (local.get $columns) (local.get $bit))
              (i64.shl (i64.or (local.get $left) (local.get $bit)) (i64.const 1))
              (i64.shr_u (i64.or (local.get $right) (local.get $bit)) (i64.const 1)))))
        (br_if $queens
          (i64.ne
            (local.tee $free (i64.xor (local.get $free) (local.get $bit)))
            (i64.const 0)))))
    (local.get $ways))

  (func (export "main") (param $n i64) (result i64)
    (call $place
      (i64.sub (i64.shl (i64.const 1) (local.get $n)) (i64.const 1))
      (i64.const 0) (i64.const 0) (i64.const 0))))
