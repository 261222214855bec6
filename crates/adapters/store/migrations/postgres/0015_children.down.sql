-- An executor of before that claims one finds no order, and reports it as lost.
UPDATE work_order SET pods = 1 WHERE pods = 0;
ALTER TABLE work_order
    DROP CONSTRAINT work_order_pods_check,
    ADD CONSTRAINT work_order_pods_check CHECK (pods >= 1);
DROP TABLE child;
